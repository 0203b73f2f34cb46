"""Answers that are held to a form while they are generated: what the forms are, and how a tokenizer obeys one."""

from harness.structured.forms import AnswerForm, Constrainable, answer_schema, lines_pattern, opens, satisfies

__all__ = ["AnswerForm", "Constrainable", "answer_schema", "lines_pattern", "opens", "satisfies"]
