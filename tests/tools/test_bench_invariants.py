"""What benchmarks check of the ledgers that they have written finds what is wrong with one."""

import asyncio
import importlib
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runcord.testing.postgres import as_superuser
from runcord.testing.projections import move_on

BENCH = Path(__file__).parents[2] / "tools" / "bench"

DAMAGES = {
    "a hole": "delete from events where position = 3",
    "an event edited": "update events set data = '{}' where position = 2",
    "a run's row edited": "update runs set state = convert_to(replace(convert_from(state, 'UTF8'), 'd', 'e'), 'UTF8')",
    "a run's row lost": "delete from runs where created_position = 2",
    "a projection's row edited": "update run_history set span = span + 1",
}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's modules that are needed."""
    monkeypatch.syspath_prepend(str(BENCH))  # pyright: ignore[reportUnknownMemberType]
    return importlib.import_module


@pytest.fixture
def lived(dsn: str, bench: Any) -> str:
    """A database in which a few runs have lived."""
    product = bench("runcord_bench.product")

    async def live(project_id: str) -> None:
        with product.open_committer(dsn) as committer:
            job_id = await product.create_job(committer, project_id)
            await product.trigger(committer, project_id, job_id, [{}] * 3)
            await product.complete(committer, project_id, await product.claim(committer, project_id, "worker", 2))

    project_id = product.open_project(dsn)
    asyncio.run(live(project_id))
    move_on(dsn, project_id)
    return dsn


def test_a_ledger_that_commands_have_written_passes(lived: str, bench: Any) -> None:
    found = check(bench, lived)
    assert found.passed, found.found
    assert found.found == "1 ledgers, and of 0 the log alone; 10 events"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_ledger_that_is_damaged_does_not(lived: str, bench: Any, damage: str) -> None:
    with psycopg.connect(as_superuser(lived)) as conn:
        assert conn.execute(DAMAGES[damage].encode()).rowcount
    assert not check(bench, lived).passed


@pytest.mark.parametrize("damage", ["a hole", "an event edited"])
def test_the_log_alone_is_checked_where_it_is_long(lived: str, bench: Any, damage: str) -> None:
    assert check(bench, lived, folded=9).found == "0 ledgers, and of 1 the log alone; 10 events"
    with psycopg.connect(as_superuser(lived)) as conn:
        conn.execute(DAMAGES[damage].encode())
    assert not check(bench, lived, folded=9).passed


def test_a_benchmark_without_ledgers_does_not_pass(bench: Any) -> None:
    effort = bench("runcord_bench.__main__").QUICK
    assert not bench("runcord_bench.invariants").check([], "whole", effort).passed


def check(bench: Any, dsn: str, folded: int = 1000) -> Any:
    """Return the check of one database, in which ledgers of so many events are folded."""
    effort = bench("dataclasses").replace(bench("runcord_bench.__main__").QUICK, folded=folded)
    return bench("runcord_bench.invariants").check([dsn], "whole", effort)
