"""A backend that is told it runs on a GPU and dies on red images."""

from __future__ import annotations

import os

from tests.fake_backends import Configured


class ExitOnRed(Configured):
    def fault(self) -> None:
        os._exit(3)
