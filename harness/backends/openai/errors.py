"""What can go wrong between here and a served model. Each becomes a typed row; none carries a key or an image."""

from __future__ import annotations

from typing import ClassVar

from harness.errors import RemoteError

__all__ = [
    "ConnectionLostError",
    "EndpointError",
    "IncompleteStreamError",
    "KeyRefusedError",
    "MalformedResponseError",
    "RateLimitedError",
    "RedirectRefusedError",
    "RequestRefusedError",
    "RequestTimeoutError",
    "ResponseTooLargeError",
    "ServedModelError",
    "ServerFaultError",
    "ServerUnavailableError",
]


class ServedModelError(RemoteError):
    """Base of every failure of a served model."""

    is_passing: ClassVar[bool] = False
    """Whether the same request may succeed a little later."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """How long the server asks to be left alone."""


class EndpointError(ServedModelError):
    """The address is malformed, or a key would travel to it in the clear."""


class ServerUnavailableError(ServedModelError):
    """A server that this session was to start is not there."""


class ConnectionLostError(ServedModelError, ConnectionError):
    """No connection, or one that broke."""

    is_passing = True


class IncompleteStreamError(ConnectionLostError):
    """The stream ended before the answer did."""


class RateLimitedError(ServedModelError):
    """The server asks for fewer requests (429)."""

    is_passing = True


class ServerFaultError(ServedModelError):
    """A fault of the server's own (5xx, or an error in the stream)."""

    is_passing = True


class RequestTimeoutError(ServedModelError, TimeoutError):
    """No whole answer within the time for one request, or for one document."""


class RequestRefusedError(ServedModelError):
    """The server does not take this request (4xx)."""


class KeyRefusedError(RequestRefusedError):
    """The server asks for a key, or for another one (401, 403)."""


class RedirectRefusedError(ServedModelError):
    """The server points elsewhere (3xx). It is not followed: the key and the image are for this server alone."""


class MalformedResponseError(ServedModelError):
    """What came back is no chat completion."""


class ResponseTooLargeError(ServedModelError):
    """More bytes than an answer can have."""
