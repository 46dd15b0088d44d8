"""One round of the demo: the job, and a run of it for every file, made once however often this is repeated."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from demo_parts.files import SourceFile
from runcord.client import Client, ConflictError, Job, JobFields, Run, RunStats, TriggerItem

JOB = "parse-python-file"
TAG = "demo"
BATCH = 500
ENOUGH = 20
"""Unfinished runs that make it worth going on with a round; fewer are done along with the next."""

MAX_ATTEMPTS = 3
SETTINGS: JobFields = {
    "description": "Parse a Python file and count its lines, classes, functions and imports.",
    "max_attempts": MAX_ATTEMPTS,
    "timeout_secs": 60,
    "retry_strategy": "exponential",
    "retry_initial_delay_secs": 0.2,
    "retry_max_delay_secs": 1,
    "max_concurrency": 64,
}


@dataclass(frozen=True, slots=True)
class Round:
    """Name a round: every run of it carries the tag `demo` with its number.

    `before` counts the job's runs when this start of the demo began; `resumed` says that an earlier start had begun
    the round and did not end it.
    """

    number: int
    job: Job
    before: RunStats
    resumed: bool


def register_job(client: Client) -> Job:
    """Return the demo's job: made when it is missing, updated when its settings are not these."""
    try:
        return client.jobs.create(JOB, **SETTINGS)
    except ConflictError:
        job = client.jobs.get(JOB)
    differing = any(getattr(job, name) != value for name, value in SETTINGS.items())
    return client.jobs.update(JOB, **SETTINGS) if differing else job


def open_round(client: Client, job: Job) -> Round:
    """Return the round to work on: the last one if an earlier start left enough of it undone, else the next."""
    before = client.runs.stats(job_id=job.id)
    last = next((run for run in client.runs.list(job_id=job.id) if TAG in run.tags), None)
    number = 0 if last is None else int(last.tags[TAG])
    resumed = number > 0 and before.total - before.finished >= ENOUGH
    return Round(number if resumed else number + 1, job, before, resumed)


def trigger(client: Client, round_: Round, files: Sequence[SourceFile], on_batch: Callable[[int], None]) -> int:
    """Make a run for every file that has none in this round, and return how many were made.

    A key for each file and round makes repeating it harmless, after an interruption as after a lost answer.
    """
    created = 0
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        created += client.jobs.trigger_many(JOB, [_item(round_, file) for file in batch]).created
        on_batch(start + len(batch))
    return created


def runs_of(client: Client, round_: Round) -> Iterator[Run]:
    """Yield the round's runs, newest first; runs of the job that somebody else has made are passed over."""
    for run in client.runs.list(job_id=round_.job.id, page_size=100):
        number = int(run.tags.get(TAG, round_.number + 1))
        if number < round_.number:
            return
        if number == round_.number:
            yield run


def _item(round_: Round, file: SourceFile) -> TriggerItem:
    return {
        "payload": file.payload,
        "priority": file.priority,
        "tags": {TAG: str(round_.number), "origin": file.origin},
        "idempotency_key": f"{TAG}-{round_.number}:{file.origin}:{file.name}",
    }
