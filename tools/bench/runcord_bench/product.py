"""The product without its HTTP: the committer as `runcord.http.backend` wires it, and the commands of a run's life."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from runcord import inline
from runcord.handling.jobs import CommandJob
from runcord.handling.runs import CommandRuns
from runcord.handling.trigger import TriggerRequest, TriggerRuns
from runcord.ids import new_id, new_version_id
from runcord.job.commands import CreateJob
from runcord.ledger.committer import Committer
from runcord.ledger.transaction import Context, Plan, Transaction
from runcord.ledger.view import Change, Statement
from runcord.queue.claims import ClaimedRun, ClaimRuns, Selection
from runcord.recorded import Recorded
from runcord.run.commands import Claim, Complete
from runcord.run.events import Logged
from runcord.settings import Settings
from runcord.sql import load, migrate
from runcord_bench.load import PAYLOAD

ACCESS = load("runcord.sql", "queries/access.sql")

CONTEXT = Context(actor="bench", request_id="req_bench")
LEASE_SECS = 60.0


def prepare(dsn: str) -> str:
    """Give the database its schema."""
    migrate(dsn)
    return dsn


def open_project(dsn: str, project_id: str | None = None) -> str:
    """Make a project with an empty ledger and return its id."""
    project_id = project_id or new_id("proj")
    with psycopg.connect(dsn) as conn:
        conn.execute(ACCESS["create_project"], {"project_id": project_id, "name": project_id})
        conn.execute(ACCESS["open_ledger"], {"project_id": project_id})
    return project_id


class EventsOnly:
    """An inline view that keeps no state and no rows: what is left is the ledger."""

    prefix = "run_"

    def load(self, project_id: str, stream_ids: Sequence[str]) -> Statement:
        """Never called: nothing is looked up."""
        raise NotImplementedError

    def decode(self, stored: bytes) -> None:
        """Never called: nothing is stored."""
        raise NotImplementedError

    def evolve(self, state: None, recorded: Recorded[Any]) -> None:
        """Return no state."""

    def save(self, project_id: str, changes: Sequence[Change]) -> Iterator[Statement]:
        """Return no statements."""
        return iter(())


class Append(NamedTuple):
    """The least command: one event, which begins a stream."""

    stream_id: str
    event: Any
    context: Context = CONTEXT
    weight: int = 1

    def prepare(self, plan: Plan) -> None:
        """Read nothing."""

    def handle(self, tx: Transaction) -> None:
        """Record the event."""
        tx.create(self.stream_id, self.event)


@contextmanager
def open_committer(dsn: str, *, events_only: bool = False) -> Iterator[Committer]:
    """Run a committer as every server process does; or with the ledger alone, without the rows of runs and jobs."""
    committer = Committer(
        dsn,
        views=(EventsOnly(),) if events_only else inline.views(),
        projections=() if events_only else inline.projections(),
        writers=Settings.model_fields["writers"].default,
    )
    committer.start()
    try:
        yield committer
    finally:
        committer.close()


async def create_job(committer: Committer, project_id: str, **settings: Any) -> str:
    """Create a job and return its id."""
    job_id = new_id("job")
    named = {"name": "bench", "slug": "bench", **settings}
    await committer.execute(project_id, CommandJob(CONTEXT, job_id, CreateJob(new_version_id(), named)))
    return job_id


async def append(committer: Committer, project_id: str) -> None:
    """Append one event to a new stream."""
    await committer.execute(project_id, Append(new_id("run"), Logged("triggered", data=PAYLOAD)))


async def trigger(
    committer: Committer, project_id: str, job_id: str, requests: Sequence[Mapping[str, Any]] = ({},)
) -> list[str]:
    """Trigger runs in one command, each with further members of its request, and return their ids."""
    wanted = [TriggerRequest(run_id=new_id("run"), payload=PAYLOAD, **members) for members in requests]
    await committer.execute(project_id, TriggerRuns(CONTEXT, job_id, wanted))
    return [request.run_id for request in wanted]


async def claim(committer: Committer, project_id: str, worker_id: str, limit: int) -> list[ClaimedRun]:
    """Take up to `limit` runs and begin their attempts."""
    command = ClaimRuns(CONTEXT, worker_id, Selection(), limit, LEASE_SECS, start=True)
    return (await committer.execute(project_id, command)).value


async def complete(committer: Committer, project_id: str, claimed: Sequence[ClaimedRun]) -> None:
    """Report attempts as completed. Raises the first refusal, if there is any."""
    reports = [(c.run.run_id, Complete({"ok": True}, claim=Claim(c.run.attempt, c.run.fence))) for c in claimed]
    committed = await committer.execute(project_id, CommandRuns(CONTEXT, reports))
    for answer in committed.value:
        if isinstance(answer, Exception):
            raise answer
