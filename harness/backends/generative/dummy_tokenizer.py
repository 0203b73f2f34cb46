"""A tokenizer for an architecture without one: the right vocabulary, about the right number of tokens, no meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["dummy_tokenizer"]

_FILLER = " t{}"
_UNKNOWN = "<unk>"


def dummy_tokenizer(
    size: int,
    special: Mapping[str, int | None],
    *,
    digits: int = 3,
    names: Mapping[str, str] | None = None,
    **roles: str,
) -> Any:
    """A fast tokenizer of `size` ids, each of which decodes to a text.

    `special` are the special tokens by text: those of the configuration with their ids, others with None; these get
    the highest ids that are free. `names` are attributes by which a processor asks for special tokens
    (`context_image_token`), `roles` are transformers' own (`eos_token`).

    The rule for text: a word, with the space before it, is cut every 6 letters; a number every `digits` digits; other
    signs two by two; line breaks together with the spaces before them are one token, and so are other runs of spaces.
    Byte-pair tokenizers of this size come to about as many tokens on English. All pieces have the same id, so that the
    text cannot be had back; only its length matters to what a model costs.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    by_id = {index: token for token, index in special.items() if index is not None}
    size = max(size, *(index + 1 for index in by_id))  # an image token may come after what can be generated
    free = (index for index in range(size - 1, -1, -1) if index not in by_id)
    by_id |= {index: token for token, index in zip([t for t, i in special.items() if i is None], free, strict=False)}
    lowest = next(index for index in range(size) if index not in by_id)
    vocabulary = {by_id.get(index, _FILLER.format(index)): index for index in range(size)}
    del vocabulary[_FILLER.format(lowest)]
    vocabulary[_UNKNOWN] = lowest
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=_UNKNOWN))
    pattern = rf" ?\p{{L}}{{1,6}}|\p{{N}}{{1,{digits}}}| ?[^\s\p{{L}}\p{{N}}]{{1,2}}|\s*[\r\n]+|\s+(?!\S)|\s"
    core.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return PreTrainedTokenizerFast(tokenizer_object=core, extra_special_tokens=dict(names or {}), **roles)
