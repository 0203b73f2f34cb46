"""Does the accuracy gate notice a checkpoint that is slightly spoilt? Too long for `make test`, since noticing takes
all bundled documents.

Gaussian noise of 5 % of a layer's spread changes next to no answer, so there is nothing to notice. Shuffling 5 % of the
weights of one layer does change answers: a few points of F1 on harder pages.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MODEL = "tiny-mllama"
LAYER = "vision_model.transformer.layers.1."
SHARE = 0.05


def spoil(checkpoint: Path) -> int:
    """Shuffle SHARE of each weight matrix of LAYER among themselves; returns how many weights were moved."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(checkpoint)
    random = torch.Generator().manual_seed(0)
    moved = 0
    for name, weight in weights.items():
        if LAYER in name and weight.dim() == 2:
            flat = weight.view(-1)
            chosen = torch.randperm(flat.numel(), generator=random)[: int(SHARE * flat.numel())]
            flat[chosen] = flat[chosen[torch.randperm(chosen.numel(), generator=random)]]
            moved += chosen.numel()
    save_file(weights, checkpoint, metadata={"format": "pt"})
    return moved


def test_a_layer_shuffled_by_five_percent_fails_the_accuracy_gate(tmp_path):
    shutil.copytree(REPOSITORY / "fixtures" / "checkpoints" / MODEL, tmp_path / MODEL)
    assert spoil(tmp_path / MODEL / "model.safetensors") > 30_000
    asked = f"-q -p no:cacheprovider -k field_f1 --eval-models {MODEL} --eval-quantization fp32 --eval-limit all"
    folders = ["--eval-model-root", tmp_path, "--eval-report", tmp_path / "report"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "evals/test_accuracy.py", "--eval-batch-size", "8", *asked.split(), *folders],
        cwd=REPOSITORY,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"f1 0\.\d+ \[.*at least 0\.97 required.*at fault: [A-Z_]+ in \d+", done.stdout)
