"""Processors for architectures of which only config.json is there: transformers' own classes, a tokenizer in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.backends.generative.dummy_tokenizer import dummy_tokenizer

__all__ = [
    "dummy_gemma3n_processor",
    "dummy_internvl_processor",
    "dummy_llava_processor",
    "dummy_mllama_processor",
    "dummy_smolvlm_processor",
]

_INTERNVL_MAX_TILES = 12  # of the published preprocessor_config.json, as everything here that no config.json holds
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}

_INTERNVL_TEMPLATE = """{% for message in messages %}<|im_start|>{{ message['role'] }}
{% for part in message['content'] %}{% if part['type'] == 'image' %}<IMG_CONTEXT>
{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

_MLLAMA_TEMPLATE = """{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}\
<|end_header_id|>

{% for part in message['content'] %}{% if part['type'] == 'image' %}<|image|>{% else %}{{ part['text'] }}{% endif %}\
{% endfor %}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}"""


_LLAVA_TEMPLATE = """{{ bos_token }}{% for message in messages %}{{ message['role'] | upper }}: \
{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>
{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"""

_SMOLVLM_TEMPLATE = """<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:\
{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}\
{% endfor %}<end_of_utterance>
{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""

_GEMMA_TEMPLATE = """{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}
{% for part in message['content'] %}{% if part['type'] == 'image' %}<image_soft_token>{% else %}{{ part['text'] }}\
{% endif %}{% endfor %}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""

_SMOLVLM_MAX_TILES = 4
"""In each direction: pages are resized to at most so many tiles."""
_GEMMA3N_TILE = 768


def dummy_internvl_processor(config: Any) -> Any:
    """1 to 12 tiles of the vision tower's size and a thumbnail; Qwen's special tokens, digits one by one."""
    from transformers import GotOcr2ImageProcessor, InternVLProcessor, InternVLVideoProcessor

    text = config.get_text_config()
    height, width = config.vision_config.image_size
    size = {"height": height, "width": width}
    tokenizer = dummy_tokenizer(
        text.vocab_size,
        {
            "<|endoftext|>": text.bos_token_id,
            "<|im_end|>": _last(text.eos_token_id),
            "<IMG_CONTEXT>": config.image_token_id,
            **dict.fromkeys(("<|im_start|>", "<img>", "</img>", "<video>")),
        },
        digits=1,
        names={
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
    )
    return InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(
            size=size, crop_to_patches=True, min_patches=1, max_patches=_INTERNVL_MAX_TILES, **_IMAGENET
        ),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=size),
        image_seq_length=config.image_seq_length,
        chat_template=_INTERNVL_TEMPLATE,
    )


def dummy_mllama_processor(config: Any) -> Any:
    """Tiles of the vision model's size, as many as it takes; the special tokens of Llama 3."""
    from transformers import MllamaImageProcessor, MllamaProcessor

    text, vision = config.get_text_config(), config.vision_config
    tokenizer = dummy_tokenizer(
        text.vocab_size,
        {
            "<|begin_of_text|>": text.bos_token_id,
            "<|eot_id|>": _last(text.eos_token_id),
            "<|finetune_right_pad_id|>": text.pad_token_id,
            "<|image|>": config.image_token_index,
            **dict.fromkeys(("<|start_header_id|>", "<|end_header_id|>")),
        },
        names={"image_token": "<|image|>"},
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
    )
    return MllamaProcessor(
        image_processor=MllamaImageProcessor(
            size={"height": vision.image_size, "width": vision.image_size},
            max_image_tiles=vision.max_num_tiles,
            **_CLIP,
        ),
        tokenizer=tokenizer,
        chat_template=_MLLAMA_TEMPLATE,
    )


def dummy_llava_processor(config: Any) -> Any:
    """The middle square of a page, of the vision tower's size; the special tokens of Llama 2."""
    from transformers import CLIPImageProcessor, LlavaProcessor

    text, vision = config.get_text_config(), config.vision_config
    tokenizer = dummy_tokenizer(
        text.vocab_size,
        {
            "<s>": text.bos_token_id,
            "</s>": _last(text.eos_token_id),
            "<pad>": config.pad_token_id,
            "<image>": config.image_token_index,
        },
        digits=1,
        names={"image_token": "<image>"},
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    return LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": vision.image_size},
            crop_size={"height": vision.image_size, "width": vision.image_size},
            **_CLIP,
        ),
        tokenizer=tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=1,
        chat_template=_LLAVA_TEMPLATE,
    )


def dummy_smolvlm_processor(config: Any) -> Any:
    """Up to 4 x 4 tiles of the vision model's size, each after its place in words, and the whole page as one more."""
    from transformers import SmolVLMImageProcessor, SmolVLMProcessor, SmolVLMVideoProcessor

    text, vision = config.get_text_config(), config.vision_config
    rows = range(1, _SMOLVLM_MAX_TILES + 1)
    names = {
        "fake_image_token": "<fake_token_around_image>",
        "image_token": "<image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
        "video_token": "<video>",
    }
    places = [f"<row_{row}_col_{column}>" for row in rows for column in rows]
    tokenizer = dummy_tokenizer(
        text.vocab_size,
        {
            **dict.fromkeys((*names.values(), *places)),
            "<|im_start|>": text.bos_token_id,
            "<|im_end|>": _last(text.eos_token_id),  # which is also the padding
            "<image>": config.image_token_id,
        },
        digits=1,
        names=names,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
    )
    tile = {"longest_edge": vision.image_size}
    page = {"longest_edge": _SMOLVLM_MAX_TILES * vision.image_size}
    return SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=page, max_image_size=tile),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(size=tile, max_image_size=tile),
        image_seq_len=int((vision.image_size // vision.patch_size) ** 2 / config.scale_factor**2),
        chat_template=_SMOLVLM_TEMPLATE,
    )


def dummy_gemma3n_processor(config: Any) -> Any:
    """One square tile of 768 px; the special tokens of Gemma 3n, those for sound included."""
    from transformers import Gemma3nAudioFeatureExtractor, Gemma3nProcessor, SiglipImageProcessor

    text = config.get_text_config()
    special = {
        "image_token": ("<image_soft_token>", config.image_token_id),
        "boi_token": ("<start_of_image>", config.boi_token_id),
        "eoi_token": ("<end_of_image>", config.eoi_token_id),
        "audio_token": ("<audio_soft_token>", config.audio_token_id),
        "boa_token": ("<start_of_audio>", config.boa_token_id),
        "eoa_token": ("<end_of_audio>", config.eoa_token_id),
    }
    tokenizer = dummy_tokenizer(
        text.vocab_size,
        {
            **dict(special.values()),
            "<pad>": text.pad_token_id,
            "<eos>": _last(text.eos_token_id),
            "<bos>": text.bos_token_id,
            **dict.fromkeys(("<start_of_turn>", "<end_of_turn>")),
        },
        digits=1,
        names={name: token for name, (token, _) in special.items()},
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
    )
    return Gemma3nProcessor(
        feature_extractor=Gemma3nAudioFeatureExtractor(),
        image_processor=SiglipImageProcessor(
            size={"height": _GEMMA3N_TILE, "width": _GEMMA3N_TILE}, do_normalize=False
        ),
        tokenizer=tokenizer,
        audio_seq_length=config.audio_soft_tokens_per_image,
        image_seq_length=config.vision_soft_tokens_per_image,
        chat_template=_GEMMA_TEMPLATE,
    )


def _last(ids: int | Sequence[int]) -> int:
    """The end of a turn is the last of several stop ids, in every published configuration."""
    return ids if isinstance(ids, int) else ids[-1]
