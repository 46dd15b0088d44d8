"""One real server for all tests of Strait's client; each test has a project of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from runcord.testing.postgres import TestServer
from runcord.testing.projections import check_rebuilt
from runcord.testing.server import ServerProcess

from .world import Form, World, open_world


@dataclass(frozen=True)
class Served:
    """A server and its database."""

    base_url: str
    dsn: str


@pytest.fixture(scope="session")
def served(postgres: TestServer, template_database: str) -> Iterator[Served]:
    """A server process, and the DSN of its database."""
    dsn = postgres.create_database(template=template_database)
    with ServerProcess(dsn) as server:
        yield Served(server.base_url, dsn)
    # Whatever these tests have left in the ledgers, projections that are built of it anew equal the live ones.
    with psycopg.connect(dsn, autocommit=True) as conn:
        projects = conn.execute("select project_id from ledger_heads where position > 0").fetchall()
    for (project_id,) in projects:
        check_rebuilt(dsn, project_id)
    postgres.drop_database(dsn)


Scenario = Callable[[World], Awaitable[None]]
RunScenario = Callable[[Form, Scenario], World]


@pytest.fixture
def play(served: Served) -> RunScenario:
    """Plays a scenario in a project of its own with one form of the client; returns the world after it."""

    def run(form: Form, scenario: Scenario) -> World:
        async def inside() -> World:
            async with open_world(served.base_url, served.dsn, form) as world:
                await scenario(world)
                return world

        return asyncio.run(inside())

    return run
