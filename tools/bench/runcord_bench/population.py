"""A million runs to list: a few thousand that the product has made and worked off, and copies of their rows.

Of each filter there are values that nearly all runs have, that only the older half has, that a handful in the middle
has, and that none has.
"""

import itertools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg

from runcord.handling.runs import CommandRun
from runcord.handling.trigger import TriggerRequest, TriggerRuns
from runcord.ids import new_id
from runcord.ledger.committer import Committer
from runcord.projecting.projector import Projector
from runcord.projecting.registry import projections
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.sql import load
from runcord_bench import product

SQL = load("runcord_bench", "lists.sql")

TEMPLATE = 1_000
"""How many runs the product makes of each kind before they are copied."""

SPAN = 4096
"""From each copy to the next, in positions: four events for each run, nearly."""

AT_ONCE = 10
"""How many runs are triggered in one commit, as when some callers trigger at the same time."""

HANDFUL = 20
BATCH = 500


async def populate(dsn: str, project_id: str, runs: int, *, whole: bool = False) -> str:
    """Make about so many runs, half of them old, and return the job that most of them are of.

    With `whole`, they have their whole history, and not only its beginning. What there is of projections is true.
    """
    with ExitStack() as stack:
        committer = stack.enter_context(product.open_committer(dsn))
        conn = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        projector = Projector(dsn, projections())
        stack.callback(projector.close)
        ledger = _Ledger(conn, projector, project_id)
        job_id = await product.create_job(committer, project_id, slug="listed", max_attempts=1)
        other_id = await product.create_job(committer, project_id, name="rare", slug="rare")
        times = max(0, runs // (2 * TEMPLATE) - 1)
        for era in ("old", "new"):
            after = ledger.begin()
            await _work_through(committer, project_id, job_id, era)
            ledger.copy(after, times, whole)
            if era == "old":
                await _handful(committer, project_id, other_id)
        conn.execute("vacuum analyze")
    return job_id


async def _work_through(committer: Committer, project_id: str, job_id: str, era: str) -> None:
    """Trigger, claim and end the runs of an era, a few at a time: some are cancelled in the old one, some fail."""
    members = {"which": "yes", "era": era, "yes": "", era: ""}
    causes = itertools.cycle(["yes", "yes", "yes", era])
    for start in range(0, TEMPLATE, AT_ONCE):
        requests = [
            TriggerRequest(
                new_id("run"),
                payload={"customer": n, "seat": n + 2, "options": {"which": ["yes", era], "language": "en"}},
                tags=members,
                metadata=members,
            )
            for n in range(start, start + AT_ONCE)
        ]
        await committer.execute(project_id, TriggerRuns(product.CONTEXT, job_id, requests, next(causes)))
        if era == "old":
            for request in requests[: AT_ONCE // 5]:
                await committer.execute(project_id, CommandRun(product.CONTEXT, request.run_id, c.Cancel()))
        while claimed := await product.claim(committer, project_id, "bench", AT_ONCE):
            lost, good = claimed[:1], claimed[1:]
            await product.complete(committer, project_id, good)
            for each in lost:
                command = c.Fail(Failure("broken"), claim=c.Claim(each.run.attempt, each.run.fence))
                await committer.execute(project_id, CommandRun(product.CONTEXT, each.run.run_id, command))


async def _handful(committer: Committer, project_id: str, job_id: str) -> None:
    """Make the few runs that have what no others have, and one batch."""
    members: dict[str, Any] = {
        "payload": {"options": {"which": ["few"]}},
        "tags": {"era": "few", "few": ""},
        "metadata": {"era": "few", "few": ""},
    }
    requests = [TriggerRequest(new_id("run"), **members) for _ in range(HANDFUL)]
    await committer.execute(project_id, TriggerRuns(product.CONTEXT, job_id, requests, "few"))
    for each in await product.claim(committer, project_id, "bench", HANDFUL):
        await committer.execute(project_id, CommandRun(product.CONTEXT, each.run.run_id, c.Pause()))
    batch = [TriggerRequest(new_id("run"), payload={"n": n}) for n in range(BATCH)]
    await committer.execute(project_id, TriggerRuns(product.CONTEXT, job_id, batch, "yes", "batch_bench"))
    while claimed := await product.claim(committer, project_id, "bench", 100):
        await product.complete(committer, project_id, claimed)


@dataclass(frozen=True)
class _Ledger:
    """A ledger that leaps, and its projections with it."""

    conn: psycopg.Connection[Any]
    projector: Projector
    project_id: str

    def begin(self) -> int:
        """Have the ledger go on where what follows can be copied, and return the position before it."""
        after = self._next()
        self._leap(after)
        return after

    def copy(self, after: int, times: int, whole: bool) -> None:
        """Copy what was recorded after a position."""
        end = self._next()
        assert end == after + SPAN, "what is copied has more events than there is room for"
        self._project()
        params = {"project_id": self.project_id, "after": after, "span": SPAN, "times": times, "whole": whole}
        for statement in ("copy_events", "copy_runs", "copy_terms", *(("copy_history",) if whole else ())):
            self.conn.execute(SQL[statement], params)
        self._leap(end + SPAN * times)

    def _next(self) -> int:
        return self.conn.execute(SQL["position"], {"project_id": self.project_id, "span": SPAN}).fetchall()[0][0]

    def _leap(self, position: int) -> None:
        self._project()
        with self.conn.transaction():
            for statement in ("move_head", "move_projections"):
                self.conn.execute(SQL[statement], {"project_id": self.project_id, "position": position})

    def _project(self) -> None:
        """Move all projections to the end, before which there is nothing but events."""
        while self.projector.advance(self.project_id).position:
            pass
