"""report.html: the whole report and every document in one file that asks the network for nothing."""

from reports.html.images import ImageSource, image_source
from reports.html.page import report_html

__all__ = ["ImageSource", "image_source", "report_html"]
