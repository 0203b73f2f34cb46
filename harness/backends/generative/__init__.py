"""Vision-language models through transformers: one backend, one small adapter per model family."""

from harness.backends.generative.backend import TransformersBackend

__all__ = ["TransformersBackend"]
