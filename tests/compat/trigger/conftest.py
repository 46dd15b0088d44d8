"""A server, a Python worker, and the real SDKs of Trigger.dev: both majors drive every test that takes `sdk`."""

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.compat.trigger.sdk import Sdk

from runcord.client import Client
from runcord.client.models import Claim
from runcord.testing.postgres import TestServer
from runcord.testing.server import API_KEY, ServerProcess

ROOT = Path(__file__).parents[3]
MAJORS = ("sdk4", "sdk3")
LEASE_SECS = 600
"""As long as a test may take: the hand sends no heartbeats."""


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder in which the SDKs are installed; without Node the test is skipped, unless in CI."""
    tool = _tool()
    try:
        return tool.installed(ROOT)
    except tool.NoNode as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def server(postgres: TestServer, template_database: str) -> Iterator[ServerProcess]:
    """A server with a database of its own, for all tests of a module."""
    dsn = postgres.create_database(template=template_database)
    with ServerProcess(dsn) as server:
        yield server
    postgres.drop_database(dsn)


class Sdks(dict[str, Sdk]):
    """One process of each major that is asked for."""

    def __init__(self, modules: Path, server: ServerProcess) -> None:
        super().__init__()
        self._start = lambda major: Sdk(major, modules, server.base_url, API_KEY)

    def __missing__(self, major: str) -> Sdk:
        self[major] = self._start(major)
        return self[major]


@pytest.fixture(scope="module")
def sdks(node_modules: Path, server: ServerProcess) -> Iterator[Sdks]:
    """The processes of the SDK, for all tests of a module."""
    sdks = Sdks(node_modules, server)
    yield sdks
    for sdk in sdks.values():
        sdk.close()


@pytest.fixture(params=MAJORS)
def sdk(request: pytest.FixtureRequest, sdks: Sdks) -> Sdk:
    """The SDK, once as 4.8.3 and once as 3.3.17."""
    return sdks[request.param]


@pytest.fixture
def sdk4(sdks: Sdks) -> Sdk:
    """The SDK as 4.8.3, for what 3.x does not have."""
    return sdks["sdk4"]


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    """Our own client, for the other dialect and for workers."""
    with Client(server.base_url, API_KEY) as client:
        yield client


@dataclass(frozen=True)
class Hand:
    """A Python worker that does what the test tells it to."""

    client: Client

    def take(self, run_id: str) -> Claim:
        """Take a run and begin."""
        (claim,) = self.client.worker.dequeue("hand", run_id=run_id, start=True, lease_secs=LEASE_SECS)
        return claim

    def complete(self, run_id: str, result: Any = None) -> Claim:
        """Take a run and complete it; return what the worker was given."""
        claim = self.take(run_id)
        self.client.worker.attempt(run_id, claim.run_token).complete(result)
        return claim

    def fail(self, run_id: str, message: str = "broken", **options: Any) -> None:
        """Take a run and fail it for good."""
        claim = self.take(run_id)
        self.client.worker.attempt(run_id, claim.run_token).fail(message, retryable=False, **options)


@pytest.fixture
def worker(client: Client) -> Hand:
    """A Python worker on the other side."""
    return Hand(client)


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("node_modules", ROOT / "tools" / "_node_modules.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool
