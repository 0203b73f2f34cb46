"""Raw responses of models -> fields, with notes on what was odd; and fields -> the response that prompts ask for."""

from harness.responses.parsing import parse_response
from harness.responses.rendering import render_response
from harness.responses.result import Note, NoteKind, ParsedResponse

__all__ = ["Note", "NoteKind", "ParsedResponse", "parse_response", "render_response"]
