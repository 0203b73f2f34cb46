"""Reading text off a page with RapidOCR: PP-OCR models from its wheel, on onnxruntime, with no network."""

from __future__ import annotations

import importlib.metadata
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends.ocr_rules.layout import Line
from harness.provenance import allowed_cores

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Engine"]


def _line(corners: Any, text: str, score: float) -> Line:
    """Turn a quadrilateral (top left, top right, bottom right, bottom left) into a level box with an angle."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = ((float(x), float(y)) for x, y in corners)
    width = (math.hypot(bx - ax, by - ay) + math.hypot(cx - dx, cy - dy)) / 2
    height = (math.hypot(dx - ax, dy - ay) + math.hypot(cx - bx, cy - by)) / 2
    mx, my = (ax + bx + cx + dx) / 4, (ay + by + cy + dy) / 4
    angle = math.degrees(math.atan2((by - ay + cy - dy) / 2, (bx - ax + cx - dx) / 2))
    return Line(
        text=text,
        x0=mx - width / 2,
        y0=my - height / 2,
        x1=mx + width / 2,
        y1=my + height / 2,
        angle=angle,
        score=float(score),
    )


class Engine:
    """RapidOCR behind one method. Construction loads nothing but configuration; `warm_up` loads the models."""

    def __init__(self, *, threads: int | None = None) -> None:
        """Use `threads` threads (default: OMP_NUM_THREADS, else one a core). Raises ImportError without rapidocr."""
        from rapidocr import EngineType, RapidOCR

        logging.getLogger("RapidOCR").setLevel(logging.ERROR)
        self.threads = threads or _threads()
        engine = EngineType.ONNXRUNTIME
        self._ocr = RapidOCR(
            params={
                "Global.log_level": "error",
                # Pages arrive upright, and the classifier turns some of their lines upside down.
                "Global.use_cls": False,
                # The detector's boxes cut into the first letters of lines at its default of 1.6.
                "Det.unclip_ratio": 1.8,
                "Det.engine_type": engine,
                "Cls.engine_type": engine,
                "Rec.engine_type": engine,
                "EngineConfig.onnxruntime.intra_op_num_threads": self.threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def warm_up(self) -> None:
        """Read a small drawn page, so that detector, classifier and recogniser are loaded. Raises RuntimeError."""
        from PIL import Image, ImageDraw, ImageFont

        page = Image.new("RGB", (640, 320), "white")
        ImageDraw.Draw(page).text((40, 120), "TOTAL 12.50", fill="black", font=ImageFont.load_default(64))
        if not any("12.50" in line.text for line in self.read(page)):
            raise RuntimeError("OCR cannot read a drawn line of text; the rapidocr installation is damaged")

    def read(self, image: Image) -> tuple[Line, ...]:
        """Return the lines of text on an RGB image, top to bottom as detected; none on a blank page."""
        import numpy as np

        result: Any = self._ocr(np.asarray(image.convert("RGB"))[:, :, ::-1])
        if result.txts is None or result.boxes is None:
            return ()
        return tuple(
            _line(box, text.strip(), score)
            for box, text, score in zip(result.boxes, result.txts, result.scores, strict=True)
            if text.strip()
        )

    def facts(self) -> Mapping[str, str | int | float]:
        """Return versions, model files and threads."""
        import rapidocr

        folder = Path(rapidocr.__file__).parent / "models"
        models = sorted(path.name for path in folder.glob("*.onnx") if "_cls_" not in path.name)
        return {
            "rapidocr": importlib.metadata.version("rapidocr"),
            "onnxruntime": importlib.metadata.version("onnxruntime"),
            "models": " ".join(models),
            "threads": self.threads,
        }


def _threads() -> int:
    """What the worker that runs this was given; elsewhere, the cores that this process may use."""
    return int(os.environ.get("OMP_NUM_THREADS", 0)) or allowed_cores()
