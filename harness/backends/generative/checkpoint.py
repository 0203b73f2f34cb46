"""A checkpoint on disk: where it is, what it claims to be, what identifies it. Imports no model library."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import CheckpointError, UnsupportedError

__all__ = ["Checkpoint", "find_checkpoint", "set_network_access", "weights_fingerprint"]

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_UNSAFE = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_WHOLE_FILE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A folder with config.json and safetensors weights."""

    folder: Path
    config: Mapping[str, Any]
    """The contents of config.json."""
    is_dummy: bool = False
    """Whether only config.json is used, and the weights are to be drawn at random."""

    @property
    def is_random(self) -> bool:
        """Whether its weights were never trained, as it says or because they are dummies: its answers say nothing."""
        return self.is_dummy or self.config.get("docvlm_random_weights") is True

    @property
    def weight_files(self) -> tuple[Path, ...]:
        """The safetensors files that loading reads."""
        return () if self.is_dummy else tuple(sorted(self.folder.glob("*.safetensors")))


def set_network_access(allowed: bool) -> None:
    """Tell the Hugging Face libraries, before they are imported, whether they may use the network."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "0" if allowed else "1"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def find_checkpoint(
    source: str,
    *,
    revision: str | None = None,
    allow_network: bool = False,
    trust_remote_code: bool = False,
    dummy: bool = False,
) -> Checkpoint:
    """The checkpoint at `source`: a folder, or the id of a model on the hub (its local copy, unless `allow_network`).

    With `dummy`, only its config.json is needed.

    Raises CheckpointError for what is missing or broken; UnsupportedError for a hub model that is not here and may not
    be fetched, and for weights in a form that can run code.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        if folder.is_absolute() or source.startswith(".") or not _HUB_ID.fullmatch(source):
            raise CheckpointError(f"{source}: no such folder, and not the id of a model on the hub (owner/name)")
        folder = _from_hub(source, revision, allow_network, trust_remote_code)
    elif revision is not None:
        raise UnsupportedError(f"{source} is a folder; a revision ({revision}) can only be chosen for a hub id")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: not a model folder: it has no config.json") from None
    except ValueError as error:
        raise CheckpointError(f"{folder / 'config.json'}: not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'config.json'}: not a JSON object")
    if not dummy:
        _check_weights(folder)
    return Checkpoint(folder=folder, config=config, is_dummy=dummy)


def _from_hub(source: str, revision: str | None, allow_network: bool, trust_remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                source,
                revision=revision,
                local_files_only=not allow_network,
                allow_patterns=[*_WANTED, "*.py"] if trust_remote_code else list(_WANTED),
            )
        )
    except LocalEntryNotFoundError as error:
        if allow_network:
            raise CheckpointError(f"{source}: cannot be downloaded, and there is no local copy: {error}") from error
        raise UnsupportedError(
            f"{source}{'' if revision is None else f'@{revision}'}: no such folder, no local copy of a hub model by "
            "that name, and this run may not use the network. Give a folder that holds a folder of the model "
            "(--eval-model-root), or allow the download (--eval-allow-network)"
        ) from None
    except HfHubHTTPError as error:  # no such model or revision, or one that asks for a licence to be accepted
        raise CheckpointError(f"{source}: the hub refuses the download: {error}") from error


def _check_weights(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    unsafe = sorted(path.name for path in folder.iterdir() if path.suffix in _UNSAFE)
    if unsafe:
        raise UnsupportedError(
            f"{folder}: the weights are pickled ({', '.join(unsafe[:3])}), and loading them could run any code; "
            "convert them to safetensors (save_pretrained does)"
        )
    raise CheckpointError(f"{folder}: no weights (*.safetensors)")


def weights_fingerprint(checkpoint: Checkpoint) -> tuple[str, str]:
    """What identifies the weights, and what it covers: (12 hex digits, `content`, `headers` or `configuration`).

    SHA-256 over the name, size and content of each safetensors file; of files above 64 MiB only the header (names,
    types, shapes, places of the tensors), because reading them would take longer than loading them. Dummy weights
    follow from config.json.
    """
    digest, scope = hashlib.sha256(), "content"
    if checkpoint.is_dummy:
        digest.update((checkpoint.folder / "config.json").read_bytes())
        scope = "configuration"
    for path in checkpoint.weight_files:
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if size > _WHOLE_FILE_BYTES:
                scope = "headers"
                length = int.from_bytes(file.read(8), "little")
                digest.update(file.read(min(length, _WHOLE_FILE_BYTES)))
            else:
                digest.update(file.read())
    return digest.hexdigest()[:12], scope
