"""Documents with ground truth: a folder of images and a CSV or JSONL file, checked and fingerprinted."""

from harness.documents.corpus import Corpus, Document, load_corpus

__all__ = ["Corpus", "Document", "load_corpus"]
