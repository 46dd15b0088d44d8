"""Given a history, when a command, then these events: the language in which runs and jobs are tested.

```python
from runcord.run import commands as c, events as e
from runcord.run.status import Status
from runcord.testing.scenario import given, history_to

given(*history_to(Status.EXECUTING)).when(c.Pause()).then(e.Paused())
given(*history_to(Status.QUEUED)).when(c.Pause()).then_refused(IllegalTransition, contains="executing")
```

Nothing here touches a database or a clock. The first event happens at `START`, each further one a second after the
one before it, and a command a second after the last event, unless a time is given: a `datetime`, or a number of
seconds after `START`. Every `then…` answers the history as it is afterwards, so that sentences can go on.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, get_args
from uuid import UUID

from runcord.errors import RuncordError
from runcord.job import commands as job_commands
from runcord.job import events as job_events
from runcord.job.decide import decide as decide_job
from runcord.job.evolve import evolve as evolve_job
from runcord.job.state import Job
from runcord.key import commands as key_commands
from runcord.key import events as key_events
from runcord.key.decide import decide as decide_key
from runcord.key.evolve import evolve as evolve_key
from runcord.key.state import ApiKey
from runcord.recorded import Recorded
from runcord.run import commands as run_commands
from runcord.run import events as run_events
from runcord.run.decide import decide as decide_run
from runcord.run.evolve import evolve as evolve_run
from runcord.run.retry import RetryPolicy
from runcord.run.state import Run
from runcord.run.status import Status

Event = run_events.Event | job_events.Event | key_events.Event
Command = run_commands.Command | job_commands.Command | key_commands.Command
Moment = datetime | float
"""A time, or a number of seconds after `START`."""

START = datetime(2026, 1, 1, tzinfo=UTC)
RUN_ID = "run_scenario"
JOB_ID = "job_scenario"
KEY_ID = "key_scenario"
FAILURE = run_events.Failure("boom", "ValueError")
"""What fails in the histories of `history_to`."""

_T = TypeVar("_T")
_TICK = timedelta(seconds=1)


def moment(at: Moment) -> datetime:
    """Return a time, or the time so many seconds after `START`."""
    return at if isinstance(at, datetime) else START + timedelta(seconds=at)


def given(*past: Event | tuple[Event, Moment]) -> "Given":
    """Return what these events, oldest first and each perhaps with its time, have made of a run, a job or a key."""
    so_far = Given()
    for item in past:
        event, at = item if isinstance(item, tuple) else (item, so_far.next_at)
        so_far = so_far.followed_by((event,), moment(at))
    return so_far


@dataclass(frozen=True)
class Given:
    """A history, and what it makes of its run, job or API key."""

    history: tuple[Recorded[Any], ...] = ()
    state: Run | Job | ApiKey | None = None

    @property
    def run(self) -> Run:
        """The run; an AssertionError when this is not the history of one."""
        return self._state_as(Run)

    @property
    def job(self) -> Job:
        """The job; an AssertionError when this is not the history of one."""
        return self._state_as(Job)

    @property
    def key(self) -> ApiKey:
        """The API key; an AssertionError when this is not the history of one."""
        return self._state_as(ApiKey)

    @property
    def next_at(self) -> datetime:
        """When the next thing happens, unless it says so itself."""
        return self.history[-1].at + _TICK if self.history else START

    def when(self, command: Command, at: Moment | None = None) -> "When":
        """Decide a command, and keep what came of it for a `then…`."""
        time = self.next_at if at is None else moment(at)
        try:
            return When(self, command, time, self._decide(command, time), None)
        except RuncordError as refusal:
            return When(self, command, time, (), refusal)

    def followed_by(self, events: tuple[Event, ...], at: datetime) -> "Given":
        """Return the history with `events` at its end, all at one time."""
        history, state = self.history, self.state
        for event in events:
            place = len(history) + 1
            stream_id = _stream_of(event)
            recorded = Recorded(stream_id, place, place, at, UUID(int=place), {"actor": "test"}, event)
            history = (*history, recorded)
            state = _evolve(state, recorded)
        return Given(history, state)

    def _decide(self, command: Command, at: datetime) -> tuple[Event, ...]:
        if isinstance(command, get_args(job_commands.Command)):
            return decide_job(command, self.job if self.history else None)  # pyright: ignore[reportArgumentType]
        if isinstance(command, get_args(key_commands.Command)):
            return decide_key(command, self.key if self.history else None, at)  # pyright: ignore[reportArgumentType]
        return decide_run(command, self.run if self.history else None, at)  # pyright: ignore[reportArgumentType]

    def _state_as(self, kind: type[_T]) -> _T:
        if not isinstance(self.state, kind):
            raise AssertionError(f"the history made {self.state!r}, not a {kind.__name__}")
        return self.state


@dataclass(frozen=True)
class When:
    """What a command came to."""

    before: Given
    command: Command
    at: datetime
    events: tuple[Event, ...]
    refusal: RuncordError | None

    def then(self, *events: Event) -> Given:
        """Expect exactly these events."""
        if self.refusal is not None:
            raise AssertionError(f"{self.command!r} was refused: {self.refusal!r}") from self.refusal
        if self.events != events:
            raise AssertionError(f"{self.command!r} caused\n  {self.events!r}\ninstead of\n  {events!r}")
        return self.before.followed_by(self.events, self.at)

    def then_nothing(self) -> Given:
        """Expect that the command is accepted and causes no event."""
        return self.then()

    def then_refused(self, error: type[RuncordError], *, code: str | None = None, contains: str = "") -> Given:
        """Expect a refusal of just this class, with this code, and with `contains` in its message."""
        refusal = self.refusal
        if refusal is None:
            raise AssertionError(f"{self.command!r} was not refused, it caused {self.events!r}")
        if type(refusal) is not error:
            raise AssertionError(f"{self.command!r} was refused with {refusal!r}, not with {error.__name__}")
        if code is not None and refusal.code != code:
            raise AssertionError(f"the refusal has the code {refusal.code!r}, not {code!r}")
        if contains not in refusal.message:
            raise AssertionError(f"the refusal says {refusal.message!r}, which does not contain {contains!r}")
        return self.before

    def then_follows(self) -> Given:
        """Expect only that the command is accepted: for steps on the way to what a test is about."""
        return self.then(*self.events)


def _stream_of(event: Event) -> str:
    if isinstance(event, get_args(job_events.Event)):
        return JOB_ID
    return KEY_ID if isinstance(event, get_args(key_events.Event)) else RUN_ID


def _evolve(state: Run | Job | ApiKey | None, recorded: Recorded[Any]) -> Run | Job | ApiKey | None:
    if isinstance(recorded.event, get_args(job_events.Event)):
        return evolve_job(state if isinstance(state, Job) else None, recorded)
    if isinstance(recorded.event, get_args(key_events.Event)):
        return evolve_key(state if isinstance(state, ApiKey) else None, recorded)
    return evolve_run(state if isinstance(state, Run) else None, recorded)


# --- histories ----------------------------------------------------------------------------------------


def triggered(**changes: Any) -> run_events.Triggered:
    """Return the birth of a plain run, with `changes`."""
    plain = run_events.Triggered(
        job_id=JOB_ID, job_slug="scenario", job_version=1, triggered_by="manual", policy=RetryPolicy()
    )
    return replace(plain, **changes)


def history_to(status: Status, **facts: Any) -> tuple[Event, ...]:
    """Return a shortest legal history that brings a run into `status`; `facts` go into its `Triggered`.

    The one claim on the way is made by `worker-1`, as attempt 1 and fence 1, for 60 s. A delayed run is due an
    hour after `START`, a waiting one waits until then. What fails, fails with `FAILURE` in its only attempt.
    """
    hour = moment(3600)
    if status in {Status.DEAD_LETTER, Status.REPLAY_STAGED, Status.TIMED_OUT, Status.CRASHED}:
        facts = {"policy": RetryPolicy(max_attempts=1), **facts}
    if status is Status.DELAYED:
        facts = {"due_at": hour, **facts}
    born = triggered(**facts)
    taken = (born, run_events.Dequeued("worker-1", attempt=1, fence=1, lease_secs=60))
    begun = (*taken, run_events.Attempted(1))
    match status:
        case Status.DELAYED | Status.QUEUED:
            return (born,)
        case Status.DEQUEUED:
            return taken
        case Status.EXECUTING:
            return begun
        case Status.WAITING:
            return (*begun, run_events.Waited("worker", until=hour))
        case Status.PAUSED:
            return (*begun, run_events.Paused())
        case Status.DEAD_LETTER:
            return (*begun, run_events.DeadLettered(1, FAILURE))
        case Status.REPLAY_STAGED:
            return (*begun, run_events.DeadLettered(1, FAILURE), run_events.ReplayStaged())
        case Status.COMPLETED:
            return (*begun, run_events.Completed(1))
        case Status.FAILED:
            return (*begun, run_events.Failed(1, FAILURE))
        case Status.TIMED_OUT:
            return (*begun, run_events.TimedOut(1, FAILURE))
        case Status.CRASHED:
            return (*begun, run_events.Crashed(1, FAILURE))
        case Status.SYSTEM_FAILED:
            return (*taken, run_events.SystemFailed(FAILURE))
        case Status.CANCELED:
            return (born, run_events.Canceled("canceled by user"))
        case Status.EXPIRED:
            return (born, run_events.Expired())
