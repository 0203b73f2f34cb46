"""The `openai` backend: any server that speaks OpenAI's chat completions with images."""

from harness.backends.openai.backend import OpenAIBackend

__all__ = ["OpenAIBackend"]
