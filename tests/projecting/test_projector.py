"""The projector: rows and positions move together, once, whoever is stopped when."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
import pytest

from runcord.ledger.mapper import encode
from runcord.projecting import generations as g
from runcord.projecting.projection import AnyProjection, Projection, Step, Table
from runcord.projecting.projector import Projector
from runcord.projecting.registry import projections
from runcord.run import events as e
from runcord.run.retry import RetryPolicy
from runcord.testing.ledger import PROJECT, Entry, append, open_project

RUN = "run_one"


class Count(NamedTuple):
    """How many log lines a run has written."""

    run_id: str
    lines: int


class Lines(Projection[Count]):
    """Counts log lines; chokes on one that says so, as often as it does."""

    name = "lines"
    reads = frozenset((e.Logged,))
    table = Table("lines", Count, key=("run_id",))

    def __init__(self, poison: str = "") -> None:
        self.poison = poison

    def keys(self, step: Step) -> Iterable[str]:
        """Every line concerns its run."""
        return (step.recorded.stream_id,)

    def evolve(self, row: Count | None, key: str, steps: Sequence[Step]) -> Count | None:
        """Return the count after some lines; `reset` removes the row."""
        for step in steps:
            message = step.recorded.event.message
            if self.poison and message == self.poison:
                raise ValueError(f"cannot count {message}")
            row = None if message == "reset" else Count(key, (row.lines if row else 0) + 1)
        return row


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A ledger with one run, and the table of `Lines`."""
    open_project(dsn)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "create table lines (project_id text, generation integer, run_id text, lines bigint, "
            "primary key (project_id, generation, run_id))"
        )
        event = e.Triggered("job_1", "job", 1, "manual", RetryPolicy())
        append(conn, Entry(RUN, 1, encode(event), event.TYPE))
        yield conn


def log(conn: psycopg.Connection[Any], *messages: str, run_id: str = RUN) -> int:
    """Append log lines to a run and return the ledger's position."""
    (version,) = conn.execute("select max(version) from events where stream_id = %s", (run_id,)).fetchone() or (0,)
    entries = [
        Entry(run_id, version + n, encode(e.Logged(message)), e.Logged.TYPE) for n, message in enumerate(messages, 1)
    ]
    return append(conn, *entries)


def advance_all(projector: Projector, **options: Any) -> int:
    """Move on until there is nothing left and return how many steps that took."""
    steps = 0
    while projector.advance(PROJECT, **options).position:
        steps += 1
    return steps


def lines(conn: psycopg.Connection[Any], generation: int = 1) -> dict[str, int]:
    """Return the rows of a generation."""
    rows = conn.execute("select run_id, lines from lines where generation = %s", (generation,))
    return dict(rows.fetchall())


def states(conn: psycopg.Connection[Any]) -> Mapping[tuple[str, int], g.Generation]:
    """Return all generations of the project."""
    return {(one.name, one.number): one for one in g.load_generations(conn, PROJECT)}


def projector_of(dsn: str, *known: AnyProjection) -> Projector:
    """Return a projector that knows these projections only."""
    return Projector(dsn, {one.name: one for one in known})


def test_rows_follow_the_ledger_batch_by_batch(dsn: str, conn: psycopg.Connection[Any]) -> None:
    head = log(conn, *map(str, range(9)))
    projector = projector_of(dsn, Lines())
    assert advance_all(projector, limit=4) == 3
    assert lines(conn) == {RUN: 9}
    assert states(conn)["lines", 1].position == head
    assert advance_all(projector) == 0
    log(conn, "more")
    assert advance_all(projector) == 1
    assert lines(conn) == {RUN: 10}
    projector.close()


def test_a_row_can_go_away_and_come_back(dsn: str, conn: psycopg.Connection[Any]) -> None:
    projector = projector_of(dsn, Lines())
    log(conn, "a", "b")
    advance_all(projector)
    log(conn, "reset")
    advance_all(projector)
    assert lines(conn) == {}
    log(conn, "a", "reset", "c")
    advance_all(projector)
    assert lines(conn) == {RUN: 1}
    log(conn, "reset", "d", "e")
    advance_all(projector)
    assert lines(conn) == {RUN: 2}
    projector.close()


def test_a_second_generation_is_built_beside_the_first_and_takes_over(dsn: str, conn: psycopg.Connection[Any]) -> None:
    projector, projection = projector_of(dsn, Lines()), Lines()
    log(conn, "a", "b")
    advance_all(projector)
    conn.execute("update lines set lines = 77")
    assert g.build(conn, PROJECT, projection, switches=False) == 2
    assert g.build(conn, PROJECT, projection, switches=False) is None
    advance_all(projector)
    assert (lines(conn, 1), lines(conn, 2)) == ({RUN: 77}, {RUN: 2})
    ready = states(conn)["lines", 2]
    assert ready.status == "ready"
    assert g.switch(conn, PROJECT, ready)
    assert [one.status for one in states(conn).values()] == ["retired", "live"]
    log(conn, "c")
    advance_all(projector)
    assert (lines(conn, 1), lines(conn, 2)) == ({RUN: 77}, {RUN: 3})
    projector.close()


def test_a_generation_that_is_not_ready_does_not_take_over(dsn: str, conn: psycopg.Connection[Any]) -> None:
    projector, projection = projector_of(dsn, Lines()), Lines()
    log(conn, "a")
    advance_all(projector)
    g.build(conn, PROJECT, projection, switches=False)
    assert not g.switch(conn, PROJECT, states(conn)["lines", 2])
    assert [one.status for one in states(conn).values()] == ["live", "building"]
    projector.close()


def test_a_later_version_is_built_and_takes_over_by_itself(dsn: str, conn: psycopg.Connection[Any]) -> None:
    class Doubled(Lines):
        version = 2

        def evolve(self, row: Count | None, key: str, steps: Sequence[Step]) -> Count | None:
            """Count each line twice."""
            return Count(key, (row.lines if row else 0) + 2 * len(steps))

    log(conn, "a", "b")
    old = projector_of(dsn, Lines())
    advance_all(old)
    new = projector_of(dsn, Doubled())
    advance_all(new)
    assert {key: one.status for key, one in states(conn).items()} == {("lines", 1): "dropping", ("lines", 2): "live"}
    assert lines(conn, 2) == {RUN: 4}
    # A process that still runs the earlier version leaves the later one as it is.
    advance_all(old)
    assert len(states(conn)) == 2
    old.close()
    new.close()


def test_a_generation_is_parked_before_what_it_cannot_take_and_the_others_go_on(
    dsn: str, conn: psycopg.Connection[Any]
) -> None:
    poisoned_at = log(conn, "a", "bad")
    head = log(conn, "c")

    class Others(Lines):
        name = "others"
        table = dataclasses.replace(Lines.table, name="others")

    conn.execute("create table others (like lines including all)")
    projector = projector_of(dsn, Lines(poison="bad"), Others())
    advance_all(projector)
    stopped, other = states(conn)["lines", 1], states(conn)["others", 1]
    assert (stopped.position, stopped.parked_at) == (poisoned_at - 1, poisoned_at)
    assert stopped.error == "ValueError: cannot count bad"
    assert lines(conn) == {RUN: 1}
    assert (other.position, other.parked_at) == (head, None)
    mended = projector_of(dsn, Lines(), Others())
    conn.execute(g.SQL["unpark"], {"project_id": PROJECT, "name": "lines"})
    advance_all(mended)
    assert lines(conn) == {RUN: 3}
    projector.close()
    mended.close()


def test_an_event_that_nobody_can_read_parks_all_and_a_skip_lets_one_go_on(
    dsn: str, conn: psycopg.Connection[Any]
) -> None:
    log(conn, "a")
    bad = append(conn, Entry(RUN, 3, b"{}", "run.forgotten.v1"))
    log(conn, "b")
    projector = projector_of(dsn, Lines(), projections()["run_history"])
    advance_all(projector)
    assert {one.parked_at for one in states(conn).values()} == {bad}
    skip = b'{"projection_id":"projection_lines","version":1,"positions":[%d]}' % bad
    conn.execute("insert into projection_skips values (%s, 'projection_lines', 1, 0, %s)", (PROJECT, skip))
    conn.execute(g.SQL["unpark"], {"project_id": PROJECT, "name": "lines"})
    advance_all(projector)
    assert lines(conn) == {RUN: 2}
    assert states(conn)["lines", 1].parked_at is None
    assert states(conn)["run_history", 1].parked_at == bad
    projector.close()


def test_two_projectors_share_the_work_and_count_nothing_twice(dsn: str, conn: psycopg.Connection[Any]) -> None:
    one, two = projector_of(dsn, Lines()), projector_of(dsn, Lines())
    for n in range(30):
        log(conn, str(n))
        (one if n % 3 else two).advance(PROJECT, limit=1 + n % 4)
    advance_all(one)
    assert lines(conn) == {RUN: 30}
    one.close()
    two.close()


def test_a_generation_that_another_process_is_moving_is_left_alone(dsn: str, conn: psycopg.Connection[Any]) -> None:
    log(conn, "a")
    projector = projector_of(dsn, Lines())
    g.begin(conn, PROJECT, [Lines()])
    with psycopg.connect(dsn) as other:
        assert g.lock(other, PROJECT, states(conn).values())
        progress = projector.advance(PROJECT)
        assert (progress.position, progress.behind) == (0, 2)
    assert projector.advance(PROJECT).position == 2
    projector.close()


def test_what_was_not_committed_is_folded_again(dsn: str, conn: psycopg.Connection[Any]) -> None:
    from runcord import faults

    log(conn, "a", "b")
    projector = projector_of(dsn, Lines())

    class Broken(Exception):
        pass

    def break_off() -> None:
        raise Broken

    faults.arm("projector.before_commit", break_off)
    try:
        with pytest.raises(Broken):
            projector.advance(PROJECT)
    finally:
        faults.disarm()
    assert lines(conn) == {}
    advance_all(projector)
    assert lines(conn) == {RUN: 2}
    projector.close()


def test_runs_of_which_only_the_end_is_in_a_batch_are_read_from_their_beginning(
    dsn: str, conn: psycopg.Connection[Any]
) -> None:
    history = projections()["run_history"]
    log(conn, *map(str, range(5)))
    event = e.Canceled("no need")
    append(conn, Entry(RUN, 7, encode(event), event.TYPE))
    for position in range(1, 8):  # each batch by a projector that remembers nothing
        projector = projector_of(dsn, history)
        assert projector.advance(PROJECT, limit=1).position == position
        projector.close()
    row = conn.execute("select statuses, positions, finished_position, span from run_history").fetchone()
    assert row == (["queued", "canceled"], [1, 7], 7, 3)


def test_rows_that_the_database_refuses_park_one_generation_and_the_others_go_on(
    dsn: str, conn: psycopg.Connection[Any]
) -> None:
    class Few(Lines):
        name = "few"
        table = dataclasses.replace(Lines.table, name="few")

    conn.execute("create table few (like lines including all, check (lines <= 5))")
    log(conn, *map(str, range(20)))
    projector = projector_of(dsn, Lines(), Few())
    advance_all(projector)
    refused, other = states(conn)["few", 1], states(conn)["lines", 1]
    sixth = 7  # after the event that triggered the run
    assert (refused.position, refused.parked_at) == (sixth - 1, sixth)
    assert refused.error is not None
    assert refused.error.startswith('CheckViolation: new row for relation "few" violates')
    assert conn.execute("select lines from few").fetchall() == [(5,)]
    assert (other.position, other.parked_at) == (21, None)
    assert lines(conn) == {RUN: 20}
    conn.execute("alter table few drop constraint few_lines_check")
    conn.execute(g.SQL["unpark"], {"project_id": PROJECT, "name": "few"})
    advance_all(projector)
    assert conn.execute("select lines from few").fetchall() == [(20,)]
    projector.close()


def test_a_projection_without_its_table_is_parked_at_its_first_event(dsn: str, conn: psycopg.Connection[Any]) -> None:
    class Tableless(Lines):
        name = "tableless"
        table = dataclasses.replace(Lines.table, name="tableless")

    log(conn, "a", "b")
    projector = projector_of(dsn, Tableless(), Lines())
    advance_all(projector)
    lost = states(conn)["tableless", 1]
    assert (lost.position, lost.parked_at) == (1, 2)
    assert lost.error == 'UndefinedTable: relation "tableless" does not exist'
    assert lines(conn) == {RUN: 2}
    projector.close()


def test_what_switches_by_itself_waits_until_it_holds_what_is_read(dsn: str, conn: psycopg.Connection[Any]) -> None:
    log(conn, "a", "b", "c", "d")
    projector = projector_of(dsn, Lines())
    advance_all(projector)
    g.build(conn, PROJECT, Lines(), switches=True)
    projector.advance(PROJECT, limit=2)  # close to the end, and behind the live one
    behind = states(conn)["lines", 2]
    assert (behind.position, behind.status) == (2, "ready")
    assert states(conn)["lines", 1].status == "live"
    advance_all(projector)
    assert states(conn)["lines", 2].status == "live"
    assert lines(conn, 2) == {RUN: 4}
    projector.close()
