"""The `transformers` backend: any local checkpoint of a known family, in any precision, greedily."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import time
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
from harness.backends.generative.decoding import TokenClock, TokenLogprobs, cut_at_stop, greedy_config
from harness.backends.generative.families import Pixels, family_of, load_family
from harness.backends.protocol import Answer, BackendRequest, Setting
from harness.errors import UnsupportedError, unknown_name
from harness.quantization import Quantization, parse_quantization

if TYPE_CHECKING:
    from numpy.typing import NDArray
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

    def __init__(self, settings: GenerationSettings, *, mode: Quantization, device: str = "cpu") -> None:
        self._settings = settings
        self._mode = mode
        self._device = device

    @classmethod
    def from_request(cls, request: BackendRequest) -> Self:
        """Raises UnknownNameError for a name, UnsupportedError for a value that cannot be."""
        if request.runtime != "eager":
            raise UnsupportedError(f"the transformers backend runs eagerly only, not {request.runtime}")
        settings = GenerationSettings.from_settings(request.settings)
        return cls(settings, mode=parse_quantization(request.quantization), device=request.device)

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
        self._family = load_family(name)
        _prepare_libraries()
        from harness.backends.generative.loading import load_model

        loaded = load_model(checkpoint, self._family, settings, self._mode, self._device)
        self._model, self._processor, self._devices = loaded.model, loaded.processor, loaded.device.devices
        self._generation = greedy_config(
            self._model, self._processor.tokenizer, settings.max_new_tokens, settings.min_new_tokens
        )
        self._model.generation_config = self._generation  # or the checkpoint's own would fill what is unset here
        self._stops = frozenset(self._generation.eos_token_id)
        self._warm_up()
        return {
            "family": name,
            "tokens_per_tile": self._family.tokens_per_tile(self._model.config),
            "cudnn_attention": False,
            **loaded.facts(),
            **_checkpoint_facts(checkpoint, self._processor),
        }

    def read(self, image: Image, prompt: str) -> Answer:
        """Answer about one image (RGB)."""
        return self.read_batch([image], prompt)[0]

    def read_batch(self, images: Sequence[Image], prompt: str) -> Sequence[Answer]:
        """Answer about several images in one `generate`.

        `phases` are those of the whole batch: `preprocess_s`, `ttft_s` and `tpot_s` (per step) from the start of
        `generate`, `generate_s`, and `fingerprint_s`, what hashing the pixels for `facts` took.
        """
        device_memory.reset_allocator_peaks(self._devices)
        started = time.perf_counter()
        prepared = self._family.prepare(self._processor, self._model.config, images, prompt)
        inputs = self._on_device(prepared.inputs)
        ready = time.perf_counter()
        logprobs = TokenLogprobs() if self._settings.token_logprobs else None
        rows, clock, generate_s = self._generate(inputs, logprobs)
        answers = [cut_at_stop(row, self._stops) for row in rows]
        hashing = time.perf_counter()
        facts = [_image_facts(*pair) for pair in zip(images, prepared.pixels, strict=True)]
        phases = {
            "preprocess_s": ready - started,
            **clock.phases(),
            "generate_s": generate_s,
            "fingerprint_s": time.perf_counter() - hashing,
        }
        if logprobs is not None:
            means = logprobs.means([len(answer.ids) for answer in answers])
            facts = [f if m is None else {**f, "mean_logprob": m} for f, m in zip(facts, means, strict=True)]
        allocator = device_memory.allocator_peaks(self._devices)
        prompt_tokens = prepared.inputs["attention_mask"].sum(dim=1).tolist()
        return [
            Answer(
                text=self._processor.tokenizer.decode(
                    answer.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
                ),
                phases=phases,
                prompt_tokens=count,
                output_tokens=len(answer.ids),
                stop=answer.stop,
                facts=fact,
                allocator=allocator,
            )
            for answer, count, fact in zip(answers, prompt_tokens, facts, strict=True)
        ]

    def _on_device(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        dtype = self._model.dtype
        device = self._devices[0] if self._devices else "cpu"  # of several, the first takes the inputs
        return {
            name: tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
            for name, tensor in inputs.items()
        }

    def _generate(
        self, inputs: dict[str, Any], logprobs: TokenLogprobs | None
    ) -> tuple[list[list[int]], TokenClock, float]:
        """The generated ids of each row, the clock of the tokens, and the seconds of it all."""
        import torch

        width = inputs["input_ids"].shape[1]
        room = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        longest = width + self._settings.max_new_tokens
        if room is not None and longest > room:
            raise UnsupportedError(
                f"a prompt of {width} tokens and up to {self._settings.max_new_tokens} new ones do not fit into this "
                f"model's {room} positions; lower max_new_tokens"
            )
        with torch.inference_mode():
            clock = TokenClock()
            start = time.perf_counter()
            output = self._model.generate(
                **inputs,
                generation_config=self._generation,
                streamer=clock,
                logits_processor=None if logprobs is None else [logprobs],
            )
            ids = output[:, width:].tolist()
            return ids, clock, time.perf_counter() - start

    def _warm_up(self) -> None:
        """Answer about a small page, so that no first document pays for lazy initialisation."""
        import copy

        from PIL import Image as pillow

        whole, self._generation = self._generation, copy.deepcopy(self._generation)
        self._generation.max_new_tokens = min(4, self._settings.max_new_tokens)
        self._generation.min_new_tokens = min(4, self._settings.min_new_tokens) or None
        try:
            self.read(pillow.linear_gradient("L").resize((210, 297)).convert("RGB"), "Read this page.")
        finally:
            self._generation = whole


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


def _image_facts(image: Image, pixels: Pixels) -> dict[str, Setting]:
    array: NDArray[Any] = pixels.tensor.contiguous().numpy()
    shape = "x".join(map(str, array.shape))
    digest = hashlib.sha256(shape.encode())
    digest.update(array.data)
    return {
        "image_width": image.width,
        "image_height": image.height,
        "tiles": array.shape[0],
        "image_tokens": pixels.image_tokens,
        "pixel_shape": shape,
        "pixel_sha256": digest.hexdigest()[:16],
    }


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
