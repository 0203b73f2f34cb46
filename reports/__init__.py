"""Reports: pure functions from an evidence log to markdown, JSON and figures. No model, no clock, no network.

`python -m reports render LOG --out DIR` does the same from the shell.
"""

from reports.render import RenderedReport, render

__all__ = ["RenderedReport", "render"]
