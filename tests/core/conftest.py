"""Fixtures of the tests that need data files or TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.bodies import Files
from servers.certificates import self_signed


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path)
    yield files
    files.executor.shutdown()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a key and its own certificate for localhost."""
    return self_signed(tmp_path_factory.mktemp("tls"))
