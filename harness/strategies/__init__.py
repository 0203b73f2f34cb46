"""Extraction strategies: how many prompts a document is read with, and what answers when the model does not."""

from harness.strategies.strategy import AnswerPath, Strategy, apply_strategy

__all__ = ["AnswerPath", "Strategy", "apply_strategy"]
