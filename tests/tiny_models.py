"""Tiny random checkpoints of the real architectures, with processor, tokenizer and chat template: about a second each.

Their answers are noise, and each says so: config.json has `docvlm_random_weights`, so no accuracy is made of them.
Dimensions are multiples of 64, because 4-bit kernels need them. `python -m tests.tiny_models internvl FOLDER`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from harness.backends.generative.torchvision_schema import ensure_torchvision

TILE = 64
PATCH = 16
INTERNVL_TOKENS = (TILE // PATCH // 2) ** 2
MAX_TILES = 4
SPREAD = 0.2
"""Standard deviation of the random weights: ten times the usual, so that the answer depends on the image."""

INTERNVL_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message['role'] }}
{% for part in message['content'] %}{% if part['type'] == 'image' %}<IMG_CONTEXT>
{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

MLLAMA_TEMPLATE = """{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}\
<|end_header_id|>

{% for part in message['content'] %}{% if part['type'] == 'image' %}<|image|>{% else %}{{ part['text'] }}{% endif %}\
{% endfor %}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""


def build_internvl(folder: Path, *, seed: int = 0) -> Path:
    """InternVL with 64 px tiles, 1 to 4 of them and a thumbnail, 4 tokens a tile. 0.2 M parameters."""
    ensure_torchvision()
    import torch
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    names = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    special = ["<|im_start|>", "<|im_end|>", "<|pad|>"]
    tokenizer = _tokenizer(special, names, eos_token="<|im_end|>", pad_token="<|pad|>")
    config = InternVLConfig(
        vision_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 128,
            "image_size": [TILE, TILE],
            "patch_size": [PATCH, PATCH],
            "initializer_range": SPREAD,
        },
        text_config={
            "model_type": "qwen2",
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "intermediate_size": 128,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 4096,
            "tie_word_embeddings": True,
            "initializer_range": SPREAD,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=INTERNVL_TOKENS,
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = InternVLForConditionalGeneration(config)
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(
            size={"height": TILE, "width": TILE}, crop_to_patches=True, min_patches=1, max_patches=MAX_TILES
        ),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size={"height": TILE, "width": TILE}),
        image_seq_length=INTERNVL_TOKENS,
        chat_template=INTERNVL_TEMPLATE,
    )
    return _save(folder, model, processor)


def build_mllama(folder: Path, *, seed: int = 0) -> Path:
    """Mllama with 64 px tiles, up to 4 of them. 0.4 M parameters; every second layer looks at the image."""
    ensure_torchvision()
    import torch
    from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaImageProcessor, MllamaProcessor

    special = ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|pad|>"]
    tokenizer = _tokenizer(
        special, {"image_token": "<|image|>"}, bos_token=special[0], eos_token="<|eot_id|>", pad_token="<|pad|>"
    )
    image_token = tokenizer.convert_tokens_to_ids("<|image|>")
    config = MllamaConfig(
        vision_config={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "intermediate_size": 128,
            "image_size": TILE,
            "patch_size": PATCH,
            "max_num_tiles": MAX_TILES,
            "intermediate_layers_indices": [0, 1],
            "vision_output_dim": 64 * 3,
            "initializer_range": SPREAD,
            "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
        },
        text_config={
            "hidden_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "intermediate_size": 128,
            "vocab_size": image_token,  # the image token is the first after the vocabulary that can be generated
            "cross_attention_layers": [1, 3],
            "initializer_range": SPREAD,
            "max_position_embeddings": 4096,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        image_token_index=image_token,
    )
    torch.manual_seed(seed)
    model = MllamaForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("gate", "gate_attn", "gate_ffn")):
                parameter.fill_(0.5)  # they start at zero, and the image would not matter
    processor = MllamaProcessor(
        image_processor=MllamaImageProcessor(size={"height": TILE, "width": TILE}, max_image_tiles=MAX_TILES),
        tokenizer=tokenizer,
        chat_template=MLLAMA_TEMPLATE,
    )
    return _save(folder, model, processor)


BUILDERS = {"internvl": build_internvl, "mllama": build_mllama}


def _tokenizer(special: list[str], extra: dict[str, str], **roles: str) -> Any:
    """One token a byte, a few to fill up to a multiple of 64, then the special tokens; `extra` come last."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    filler = [f"<|reserved_{number}|>" for number in range(-(len(alphabet) + len(special)) % 64)]
    core = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([*special, *filler])
    return PreTrainedTokenizerFast(tokenizer_object=core, extra_special_tokens=extra, **roles)


def _save(folder: Path, model: Any, processor: Any) -> Path:
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "docvlm_random_weights": True}, indent=2), encoding="utf-8")
    return folder


if __name__ == "__main__":
    BUILDERS[sys.argv[1]](Path(sys.argv[2]))
