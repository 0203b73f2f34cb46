"""The key, and keeping it and everything private out of what is said and written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.backends.openai.errors import EndpointError
from harness.backends.openai.settings import ServedSettings, is_loopback

__all__ = ["ApiKey", "find_key", "redactor"]

_EXCERPT = 300
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{64,}")
"""An image in base64, most likely: no word is so long."""


class ApiKey:
    """A key that shows itself in a request's header only."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Raises EndpointError for a value that no header can hold."""
        if not value.isascii() or not value.isprintable() or " " in value:
            raise EndpointError("the key holds spaces or characters that no HTTP header can: is it the right variable?")
        self._value = value

    def header(self) -> dict[str, str]:
        """What authorises a request."""
        return {"Authorization": f"Bearer {self._value}"}

    def removed_from(self, text: str) -> str:
        """`text` with a mark in place of the key."""
        return text.replace(self._value, "[key]")

    def __repr__(self) -> str:
        return "ApiKey(...)"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")


def find_key(settings: ServedSettings, environment: Mapping[str, str] = os.environ) -> ApiKey | None:
    """The key that the settings name. Raises EndpointError where it would travel in the clear."""
    value = environment.get(settings.key_variable, "").strip() if settings.key_variable else ""
    if not value:
        return None
    url = settings.completions_url
    if url.startswith("http:") and not is_loopback(url) and not settings.allow_plain_http:
        raise EndpointError(
            f"{settings.key_variable} is set, and {settings.base_url} would carry it over plain http, where others can "
            'read it. Use https, or say key_variable = "" for no key, or allow_plain_http = true to send it so'
        )
    return ApiKey(value)


def redactor(settings: ServedSettings, key: ApiKey | None) -> Callable[[str], str]:
    """From what a server or a library says to what may be written down: no key, no image, no path of this machine."""

    def redact(text: str) -> str:
        found = text if key is None else key.removed_from(text)
        if Path(settings.source).is_absolute():
            found = found.replace(settings.source, Path(settings.source).name)
        found = " ".join(_ENCODED.sub("[...]", found).split())
        return found if len(found) <= _EXCERPT else found[:_EXCERPT] + "..."

    return redact
