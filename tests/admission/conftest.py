"""A ledger whose clock stands still until a test moves it."""

from collections.abc import Callable, Coroutine
from typing import Any

import psycopg

from runcord.ledger.database import service_pool
from runcord.queue.scheduler import Scheduler
from runcord.testing.project import Project, in_project

STANDING = """
create table test_clock (at timestamptz not null);
insert into test_clock values ('2026-01-01T00:00:00Z');
create or replace function ledger_now() returns timestamptz language plpgsql stable as
    $$ begin return (select at from test_clock); end $$;
"""


def stop_clock(dsn: str) -> None:
    """Let the database's clock stand still, for all sessions."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(STANDING)


def move_clock(dsn: str, secs: float) -> None:
    """Move a clock that stands still on by `secs`."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("update test_clock set at = at + make_interval(secs => %s)", (secs,))


async def fire(project: Project) -> None:
    """Let the scheduler do all that is due."""
    async with service_pool(project.dsn, 2) as pool:
        while await Scheduler(pool, project.committer).fire():
            pass


def at_a_standing_clock(test: Callable[[Project], Coroutine[Any, Any, None]]) -> Callable[[str], None]:
    """Turn an asynchronous test that takes a project into one that takes `dsn`, where time is the test's."""

    async def inside(project: Project) -> None:
        stop_clock(project.dsn)
        await test(project)

    inside.__name__, inside.__doc__ = test.__name__, test.__doc__
    return in_project(inside)
