"""What must hold of a ledger after any load and any fault, read from the tables."""

import itertools
from collections import Counter
from collections.abc import Mapping

import psycopg

from runcord.ledger import mapper
from runcord.ledger.chain import verify
from runcord.run import events as e
from runcord.run.evolve import evolve
from runcord.run.state import Run
from runcord.run.status import may_become
from runcord_projections.run_view.projection import CODEC

_COLUMNS = b"stream_id, version, position, recorded_at, event_id, type, data, metadata"


def check_ledger(dsn: str, project_id: str, limits: Mapping[str, int] | None = None) -> Counter[str]:
    """Raise AssertionError unless every invariant holds; return how many events there are of each type.

    `limits` gives the greatest number of live attempts that each job (by slug) may have had at any position.
    """
    with psycopg.connect(dsn, autocommit=True) as conn:
        rows = conn.execute(
            b"select " + _COLUMNS + b" from events where project_id = %s order by position", (project_id,)
        ).fetchall()
        verification = verify(conn, project_id)
        assert verification.ok, verification
        stored = dict(conn.execute("select run_id, state from runs where project_id = %s", (project_id,)).fetchall())
    assert [row[2] for row in rows] == list(range(1, len(rows) + 1)), "positions have a hole"
    assert all(a[3] <= b[3] for a, b in itertools.pairwise(rows)), "recorded_at went backwards"
    assert len({row[4] for row in rows}) == len(rows), "an event id stands twice"
    versions: Counter[str] = Counter()
    runs: dict[str, Run | None] = {}
    live: Counter[str] = Counter()
    claims: set[tuple[str, int]] = set()
    for row in rows:
        recorded = mapper.recorded(row)
        versions[recorded.stream_id] += 1
        assert recorded.version == versions[recorded.stream_id], f"{recorded.stream_id} has a hole"
        if not recorded.stream_id.startswith("run_"):
            continue
        before = runs.get(recorded.stream_id)
        after = runs[recorded.stream_id] = evolve(before, recorded)
        assert after is not None
        if before is not None and before.status != after.status:
            assert may_become(before.status, after.status), f"{before.run_id}: {before.status} -> {after.status}"
        if isinstance(recorded.event, e.Dequeued):
            claim = (recorded.stream_id, recorded.event.fence)
            assert claim not in claims, f"claim {claim} stands twice"
            claims.add(claim)
        live[after.job_slug] += after.holds_slot - (before is not None and before.holds_slot)
        limit = (limits or {}).get(after.job_slug)
        assert limit is None or live[after.job_slug] <= limit, f"{after.job_slug} had {live[after.job_slug]} at work"
    assert stored.keys() == runs.keys(), "the run view has other runs than the ledger"
    for run_id, run in runs.items():
        assert run is not None
        assert stored[run_id] == CODEC.encode(run), f"the run view of {run_id} is not what its history says"
    return Counter(row[5] for row in rows)
