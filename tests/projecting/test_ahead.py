"""Building ahead makes the same rows, in steps of its own; whatever is in the way, nothing is lost or taken twice."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from runcord import faults
from runcord.projecting import ahead, builder, folding
from runcord.projecting import generations as g
from runcord.projecting.ahead import Ahead
from runcord.projecting.pace import Pace
from runcord.projecting.projector import Projector
from runcord.projecting.registry import projections
from runcord.run import events as e
from runcord.run.retry import RetryPolicy
from runcord.testing.ledger import PROJECT, Entry, append
from runcord.testing.projections import Rows, move_on, rows_of

if TYPE_CHECKING:
    from conftest import Ledger

PAGE = 20
RUNS = 30


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pages."""
    monkeypatch.setattr(ahead, "PAGE_EVENTS", PAGE)
    monkeypatch.setattr(ahead, "WORTHWHILE", 2 * PAGE)
    monkeypatch.setattr(ahead, "CLOSE", 5)
    monkeypatch.setattr(folding, "COPIED_ROWS", 3)


@pytest.fixture
def live(dsn: str, ledger: "Ledger") -> Iterator[Rows]:
    """The rows of a ledger that is many pages long, and a build of each projection that has just begun."""
    for n in range(RUNS):
        origin = f"run_{n - 1}" if n else None
        ledger.record(f"run_{n}", e.Triggered("job", "j", 1, "manual", RetryPolicy(), tags={"n": str(n % 3)}))
        ledger.record(f"run_{n // 2}", e.Dequeued("w", 1, 1, 60), e.Attempted(1))
        ledger.record("run_0", *(e.Logged("x") for _ in range(4)))
        if origin is not None:
            ledger.record(origin, e.Canceled("no need"), e.Restarted())
    move_on(dsn, PROJECT)
    rows = rows_of(dsn, PROJECT, "live")
    assert rows["run_snapshots"]
    with psycopg.connect(dsn, autocommit=True) as conn:
        for projection in projections().values():
            g.build(conn, PROJECT, projection, switches=False)
    yield rows


@pytest.fixture
def building(dsn: str, live: Rows) -> Iterator[Ahead]:
    """What builds ahead."""
    with Ahead(dsn, projections()) as building:
        yield building


def positions(dsn: str) -> set[int]:
    """Return where the builds stand."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        return {one.position for one in g.load_generations(conn, PROJECT) if one.status == "building"}


def test_rows_are_those_of_the_projector(dsn: str, live: Rows, building: Ahead) -> None:
    taken = building.build(PROJECT, Pace())
    assert taken > 5 * PAGE
    assert positions(dsn) == {taken}
    assert building.build(PROJECT, Pace()) == 0
    move_on(dsn, PROJECT)
    assert rows_of(dsn, PROJECT, "ready") == live


@pytest.mark.parametrize("fault", ["projector.before_commit", "projector.after_commit"])
def test_what_is_broken_off_at_every_page_goes_on(dsn: str, live: Rows, building: Ahead, fault: str) -> None:
    class Broken(Exception):
        pass

    calls = 0

    def break_off() -> None:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise Broken

    faults.arm(fault, break_off)
    try:
        for _ in range(100):
            try:
                building.build(PROJECT, Pace())
                break
            except Broken:
                continue
    finally:
        faults.disarm()
    assert calls > 10
    move_on(dsn, PROJECT)
    assert rows_of(dsn, PROJECT, "ready") == live


def test_it_gives_way_to_who_has_moved_a_generation(dsn: str, live: Rows, building: Ahead) -> None:
    interrupted = 0

    def move() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = 1
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute("update projections set status = 'dropping' where name = 'lineage' and generation = 2")

    faults.arm("projector.after_commit", move)
    try:
        with pytest.raises(ahead.Interrupted):
            building.build(PROJECT, Pace())
    finally:
        faults.disarm()
    assert positions(dsn) == {PAGE}
    move_on(dsn, PROJECT)
    ready = rows_of(dsn, PROJECT, "ready")
    assert {name: rows for name, rows in ready.items() if name != "lineage"} == {
        name: rows for name, rows in live.items() if name != "lineage"
    }


def test_an_event_that_nobody_can_read_parks_builds_before_it(dsn: str, live: Rows, building: Ahead) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        bad = append(conn, Entry("run_x", 1, b"{}", "run.forgotten.v1"))
        append(conn, *(Entry("run_x", 2 + n, b"{}", e.Paused.TYPE) for n in range(2 * PAGE)))
    projector = Projector(dsn, projections())
    builder.build(building, projector, PROJECT, Pace())
    projector.close()
    move_on(dsn, PROJECT)
    with psycopg.connect(dsn, autocommit=True) as conn:
        parked: list[Any] = [(one.position, one.parked_at) for one in g.load_generations(conn, PROJECT)]
    assert parked == [(bad - 1, bad)] * len(parked)
