"""The `transformers` backend: any local checkpoint of a known family, in any precision, greedily."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from harness.backends.generative import device_memory
from harness.backends.generative.checkpoint import (
    Checkpoint,
    find_checkpoint,
    set_network_access,
    weights_fingerprint,
)
from harness.backends.generative.decoding import stop_ids
from harness.backends.generative.families import family_of, load_family
from harness.backends.generative.runtimes import LoadedPieces, create_generator
from harness.backends.protocol import Answer, BackendRequest, Setting
from harness.cells import Runtime
from harness.errors import UnsupportedError, unknown_name
from harness.quantization import Quantization, parse_quantization
from harness.structured import AnswerForm

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["GenerationSettings", "TransformersBackend"]

_WEIGHTS = ("real", "dummy")
_PLAIN = {"str": str, "str | None": str, "int": int, "bool": bool}


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """The settings of a BackendRequest that this backend understands."""

    source: str
    """Folder of a checkpoint, or id of a model on the hub."""
    family: str | None = None
    """Model family; from the checkpoint's `model_type` if None."""
    revision: str | None = None
    """Of a hub id."""
    weights: str = "real"
    """`real`, or `dummy` for random weights in place of the checkpoint's: only its config.json is needed."""
    max_new_tokens: int = 1024
    min_new_tokens: int = 0
    """As many as `max_new_tokens` for answers of exactly that length: nothing ends them earlier."""
    skip_modules: str | None = None
    """Full module names to leave unquantised, separated by commas, instead of the family's own."""
    allow_network: bool = False
    trust_remote_code: bool = False
    token_logprobs: bool = False
    """Whether the facts of a document tell `mean_logprob`: the mean log-probability of the tokens of its answer."""
    slots: int = 0
    """Documents that the runtime `fast` answers at a time; 0 for as many as a request brings."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Setting]) -> Self:
        """Check names and types. Raises UnknownNameError and UnsupportedError."""
        known = {field.name for field in fields(cls)}
        for name in settings:
            if name not in known:
                raise unknown_name("setting of the transformers backend", name, known)
        if not settings.get("source"):
            raise UnsupportedError("the transformers backend needs a source: the folder of a checkpoint, or a hub id")
        wanted: dict[str, type] = {field.name: _PLAIN[str(field.type)] for field in fields(cls)}
        for name, value in settings.items():
            if type(value) is not wanted[name]:
                kind = wanted[name].__name__
                raise UnsupportedError(f"setting {name} of the transformers backend must be {kind}, not {value!r}")
        found = cls(**settings)  # type: ignore[arg-type]  # checked above
        if found.max_new_tokens < 1:
            raise UnsupportedError(f"max_new_tokens must be at least 1, not {found.max_new_tokens}")
        if not 0 <= found.min_new_tokens <= found.max_new_tokens:
            raise UnsupportedError(
                f"min_new_tokens must be from 0 to max_new_tokens ({found.max_new_tokens}), not {found.min_new_tokens}"
            )
        if found.slots < 0:
            raise UnsupportedError(f"slots must be at least 0, not {found.slots}")
        if found.weights not in _WEIGHTS:
            raise unknown_name("kind of weights", found.weights, _WEIGHTS)
        return found

    @property
    def skip_module_names(self) -> Sequence[str] | None:
        """`skip_modules` one by one."""
        if self.skip_modules is None:
            return None
        return [name.strip() for name in self.skip_modules.split(",") if name.strip()]


class TransformersBackend:
    """One model of transformers. Construction checks the request; nothing heavy is imported before `load`."""

    def __init__(
        self, settings: GenerationSettings, *, mode: Quantization, runtime: Runtime = Runtime.EAGER, device: str = "cpu"
    ) -> None:
        self._settings = settings
        self._mode = mode
        self._runtime = runtime
        self._device = device
        self._form: AnswerForm | None = None

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        """Raises UnknownNameError for a name, UnsupportedError for a value that cannot be."""
        if request.runtime not in list(Runtime):
            raise unknown_name("runtime", request.runtime, list(Runtime))
        settings = GenerationSettings.from_settings(request.settings)
        mode = parse_quantization(request.quantization)
        return cls(settings, mode=mode, runtime=Runtime(request.runtime), device=request.device)

    def constrain(self, form: AnswerForm) -> None:
        """Hold every answer to a form. Raises UnsupportedError for the runtime `fast`, for answers of a fixed length,
        and where the library for it is not installed."""
        if self._runtime is not Runtime.EAGER:
            raise UnsupportedError(f"the runtime {self._runtime} cannot hold answers to the form {form}: use eager")
        if self._settings.min_new_tokens:
            raise UnsupportedError(f"answers of a fixed length cannot be held to the form {form}")
        from harness.structured.grammar import require_library

        require_library()
        self._form = form

    def load(self) -> Mapping[str, Setting]:
        """Load, check and warm up the model; the facts say what was loaded.

        Raises UnsupportedError for what device, mode or library cannot do and for a hub model that may not be fetched,
        CheckpointError for an unusable folder, UnknownNameError for a family or module that does not exist, MemoryError
        or torch's own for weights that do not fit.
        """
        settings = self._settings
        set_network_access(settings.allow_network)
        checkpoint = find_checkpoint(
            settings.source,
            revision=settings.revision,
            allow_network=settings.allow_network,
            trust_remote_code=settings.trust_remote_code,
            dummy=settings.weights == "dummy",
        )
        name = family_of(
            checkpoint.config,
            family=settings.family,
            trust_remote_code=settings.trust_remote_code,
            dummy=checkpoint.is_dummy,
        )
        family = load_family(name)
        _prepare_libraries()
        from harness.backends.generative.loading import load_model

        loaded = load_model(checkpoint, family, settings, self._mode, self._device)
        self.pieces = LoadedPieces(
            model=loaded.model,
            processor=loaded.processor,
            family=family,
            family_name=name,
            devices=loaded.device.devices,
            quantized=self._mode.is_quantized,
            stops=stop_ids(loaded.model, loaded.processor.tokenizer),
            max_new_tokens=settings.max_new_tokens,
            min_new_tokens=settings.min_new_tokens,
            token_logprobs=settings.token_logprobs,
            slots=settings.slots,
            form=self._form,
        )
        self._generator = create_generator(self._runtime, self.pieces)
        self._warm_up()
        return {
            "family": name,
            "tokens_per_tile": family.tokens_per_tile(loaded.model.config),
            "cudnn_attention": False,
            **loaded.facts(),
            **self._generator.facts(),
            **_checkpoint_facts(checkpoint, loaded.processor),
        }

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer about one image (RGB)."""
        return self.read_batch([image], prompt)[0]

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        """Answer about several images in one request; the phases are the runtime's."""
        device_memory.reset_allocator_peaks(self.pieces.devices)
        said = self._generator.answer(images, prompt)
        allocator = device_memory.allocator_peaks(self.pieces.devices)
        return [
            Answer(
                text=self.pieces.processor.tokenizer.decode(
                    one.generated.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
                ),
                phases=one.phases,
                prompt_tokens=one.prompt_tokens,
                output_tokens=len(one.generated.ids),
                stop=one.generated.stop,
                facts=one.facts,
                allocator=allocator,
            )
            for one in said
        ]

    def _warm_up(self) -> None:
        """Answer about a small page, so that no first document pays for lazy initialisation."""
        from PIL import Image as pillow

        page = pillow.linear_gradient("L").resize((210, 297)).convert("RGB")
        with self._generator.short_answers():
            self.read(page, "Read this page.")


def _prepare_libraries() -> None:
    """Importable, quiet, and within the worker's thread limit, which torch obeys only if it was set in time."""
    import torch

    if (limit := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
        torch.set_num_threads(int(limit))
    # cuDNN's attention makes a plan for each length of the cache that it has not met, which on an H200 took twice as
    # long as the token itself: times would tell how many documents had been read before.
    torch.backends.cuda.enable_cudnn_sdp(False)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it would log a line per matrix product
    from harness.backends.generative.torchvision_schema import ensure_torchvision

    ensure_torchvision()
    transformers_logging: Any = importlib.import_module("transformers.utils.logging")
    transformers_logging.disable_progress_bar()


def _checkpoint_facts(checkpoint: Checkpoint, processor: Any) -> dict[str, Setting]:
    template = processor.chat_template or processor.tokenizer.chat_template
    fingerprint, scope = weights_fingerprint(checkpoint)
    facts: dict[str, Setting] = {
        "weights_sha256": fingerprint,
        "weights_sha256_of": scope,
        "chat_template_sha256": hashlib.sha256(str(template).encode()).hexdigest()[:12],
    }
    if checkpoint.is_dummy:
        facts["weights"] = "dummy"
    return {**facts, "random_weights": True} if checkpoint.is_random else facts
