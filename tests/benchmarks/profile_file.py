"""A pytest plugin that writes what `--eval-profile` recorded, as JSON, into the file that `PROFILE_FILE` names."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from fixtures.profiling import recorder_of

PROFILE_FILE = "PROFILE_FILE"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.add_cleanup(lambda: _write(session.config))


def _write(config: pytest.Config) -> None:
    profile = recorder_of(config).record()
    assert profile is not None
    Path(os.environ[PROFILE_FILE]).write_text(json.dumps(asdict(profile)))
