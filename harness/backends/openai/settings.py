"""The settings of a served model, checked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self
from urllib.parse import urlsplit

from harness.backends.openai.errors import EndpointError
from harness.backends.protocol import Setting
from harness.errors import UnsupportedError, unknown_name

__all__ = ["ServedSettings", "checked_url", "checked_variable", "is_loopback"]

_PATH = "/chat/completions"
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "image_format": ("png", "jpeg"),
    "length_parameter": ("max_tokens", "max_completion_tokens"),
}
_TYPES: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedSettings:
    """The settings of a BackendRequest that this backend understands. A key is never among them."""

    source: str
    """Name of the model as the server knows it."""
    base_url: str = ""
    """Up to `/v1`: what comes before `/chat/completions`."""
    unavailable: str = ""
    """Why there is no server to ask, where one was to be started."""
    key_variable: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; empty for none. An unset one means no key."""
    allow_plain_http: bool = False
    """Send the key over http to another machine, where everybody on the way can read it."""
    max_new_tokens: int = 1024
    min_new_tokens: int = 0
    """Asked for as `min_tokens` and `ignore_eos`, which vLLM and SGLang know."""
    length_parameter: str = "max_tokens"
    send_temperature: bool = True
    """Ask for temperature 0; some hosted models take no temperature."""
    stream: bool = True
    """Without it there is no time to the first token."""
    token_logprobs: bool = False
    image_format: str = "png"
    """`png` shows the model exactly the pixels; `jpeg` (quality 95) is a fraction of the bytes."""
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 100.0
    """Wall time of one request, whatever the server does meanwhile."""
    total_timeout_s: float = 110.0
    """Of one document from its turn on (`requests_per_minute`), retries and waits included; below --eval-timeout, so
    that no worker is lost to a slow server."""
    retries: int = 4
    """After 429, 5xx and lost connections."""
    requests_per_minute: int = 0
    """Not more than so many are begun; 0 for as many as the cell's batch size keeps going."""
    max_response_bytes: int = 8 << 20
    server_command: str = ""
    """How the session started the server, for the record only."""
    server_pid: int = 0
    """Process whose memory, with that of its children, is the server's; 0 for a server that cannot be seen."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Setting]) -> Self:
        """Check names, types and ranges. Raises UnknownNameError, UnsupportedError and EndpointError."""
        known = {field.name: _TYPES[str(field.type)] for field in fields(cls)}
        for name, value in settings.items():
            if name not in known:
                raise unknown_name("setting of the openai backend", name, known)
            if type(value) not in known[name]:
                raise UnsupportedError(f"setting {name} of the openai backend must be {known[name][-1].__name__}")
        if not settings.get("source"):
            raise UnsupportedError("the openai backend needs a source: the model's name at the server")
        found = cls(**settings)  # type: ignore[arg-type]  # checked above
        found._check_ranges()
        if not found.unavailable:
            checked_url(found.base_url)
        return found

    @property
    def completions_url(self) -> str:
        """Where chat completions are asked for."""
        return checked_url(self.base_url) + _PATH

    def _check_ranges(self) -> None:
        for name in ("connect_timeout_s", "request_timeout_s", "total_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UnsupportedError(f"setting {name} of the openai backend must be more than 0 seconds")
        for name in ("max_new_tokens", "max_response_bytes"):
            if getattr(self, name) < 1:
                raise UnsupportedError(f"setting {name} of the openai backend must be at least 1")
        for name in ("retries", "requests_per_minute", "server_pid"):
            if getattr(self, name) < 0:
                raise UnsupportedError(f"setting {name} of the openai backend must be at least 0")
        if not 0 <= self.min_new_tokens <= self.max_new_tokens:
            raise UnsupportedError(f"min_new_tokens must be from 0 to max_new_tokens ({self.max_new_tokens})")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown_name(name, getattr(self, name), choices)


def checked_url(base_url: str) -> str:
    """`base_url` without what follows `/v1`. Raises EndpointError; what may be a secret is not repeated there."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise EndpointError("base_url is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointError(
            'base_url must begin with http:// or https:// and name a server, as "http://127.0.0.1:8000/v1"'
        )
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise EndpointError(
            "base_url must hold no user, password, query or fragment: it is written into the evidence. A key comes "
            "from the environment variable that key_variable names"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/").removesuffix(_PATH)
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


def checked_variable(name: str) -> str:
    """`name`, if an environment variable can be called so, or empty. Raises EndpointError, which does not repeat it."""
    if name and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
        raise EndpointError(
            "key_variable must be the name of the environment variable that holds the key, and not the key: it is "
            "written into the evidence"
        )
    return name


def is_loopback(url: str) -> bool:
    """Whether what is sent to `url` stays on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
