"""Make torchvision importable beside a CPU-only PyTorch.

PyPI's torchvision wheels are linked against CUDA. Beside a CPU build of PyTorch their operators do not load, and the
import dies on registering a fake for one of them: `operator torchvision::nms does not exist`. That takes every Auto
class of transformers with it. The pure PyTorch parts (transforms.v2), which are all that image processors use, work
once the missing operators are declared.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["ensure_torchvision"]

_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_KEEPER = "_docvlm_declared_operators"


def ensure_torchvision() -> str:
    """Import torchvision, declaring its operators if they cannot load. Call before transformers' Auto classes.

    Returns `native`, `declared` (its compiled operators do not exist: calling one raises) or `absent`.
    Any other fault of the import is raised.
    """
    try:
        torchvision = importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        return "absent"
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return "declared" if hasattr(torchvision, _KEEPER) else "native"
    torch: Any = importlib.import_module("torch")  # Library is untyped
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half-imported
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in _OPERATORS:
        library.define(f"{operator}{_SIGNATURE}")
    # A Library takes its declarations along when it is collected, so the module that needs them keeps it.
    setattr(importlib.import_module("torchvision"), _KEEPER, library)
    return "declared"
