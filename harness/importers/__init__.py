"""Published results as evidence logs: what they claim, beside what their data say. Imported, never measured here."""

from harness.importers.batch_throughput import import_batch_throughput
from harness.importers.claims import Correction, correct, why_incomparable
from harness.importers.device_benchmark import import_device_benchmark
from harness.importers.extraction_csv import import_extraction_csv
from harness.importers.field_comparison import import_field_comparison
from harness.importers.sources import ImporterError

__all__ = [
    "Correction",
    "ImporterError",
    "correct",
    "import_batch_throughput",
    "import_device_benchmark",
    "import_extraction_csv",
    "import_field_comparison",
    "why_incomparable",
]
