"""Fixtures shared by every test."""
from __future__ import annotations
import pytest
from servers.remotes import Remote, start_moto, start_seaweedfs

@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory):
    r = start_seaweedfs(tmp_path_factory.mktemp("seaweedfs"))
    yield r
    r.stop()

@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    r = start_moto(tmp_path_factory.mktemp("moto"))
    yield r
    r.stop()

@pytest.fixture(params=["seaweedfs", "moto"])
def remote(request):
    return request.getfixturevalue(request.param)
