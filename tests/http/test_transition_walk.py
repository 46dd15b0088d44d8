"""Every legal transition of the one table is made by calls that a user can make; everything else changes nothing.

The status that each event left the run in is read over HTTP as well: `GET /v1/runs/{id}?version=`.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from runcord.clock import monotonic
from runcord.handling.runs import CommandRuns
from runcord.run.commands import StageReplay
from runcord.run.status import TRANSITIONS, Status
from runcord.testing.project import CONTEXT

Api = Any
"""The client that the fixture `api` is."""

DEADLINE = 10.0

S = Status
SOON = 0.05
FUTURE = "2199-01-01T00:00:00Z"
PAST = "2020-01-01T00:00:00Z"
EVENT = "paid"
ONCE = {"max_attempts": 1}


@dataclass
class Walker:
    """A run on its way, and the calls of its worker and of its operator."""

    api: Api
    job: dict[str, Any] = field(default_factory=dict)
    """Settings of its job."""
    body: dict[str, Any] = field(default_factory=dict)
    """Members of its trigger."""
    lease_secs: float = 60
    run_id: str = ""
    token: str = ""

    def trigger(self, **body: Any) -> None:
        job = self.api.new_job(**self.job)
        run = self.api.new_run(job["id"], idempotency_key="once", **self.body | body)
        self.run_id, self.token = run["id"], run["run_token"]

    def take(self, *, start: bool = True) -> None:
        (claim,) = self.api.take(run_id=self.run_id, start=start, lease_secs=self.lease_secs)
        self.token = claim["run_token"]

    def say(self, what: str, body: Any = None) -> None:
        answer = self.api.speaking_as(self.token).post(f"/sdk/v1/runs/{self.run_id}/{what}", body)
        assert answer.status_code < 300, answer.text

    def order(self, what: str, body: Any = None, method: str = "POST") -> None:
        answer = self.api.request(method, f"/v1/runs/{self.run_id}{what}", body)
        assert answer.status_code < 300, answer.text

    def fail_for_good(self) -> None:
        self.say("fail", {"error": "no", "retryable": False})

    @property
    def path(self) -> str:
        return f"/v1/runs/{self.run_id}"

    def run(self) -> dict[str, Any]:
        return self.api.get(self.path).json()

    def history(self) -> list[dict[str, Any]]:
        return self.api.get(f"{self.path}/history?limit=100").json()

    def await_status(self, status: Status) -> None:
        """Return once time has brought the run there."""
        until = monotonic() + DEADLINE
        while (found := self.run()["status"]) != status:
            assert monotonic() < until, f"the run is still {found}"

    def statuses(self) -> list[Status]:
        """Return the statuses that the run has had, in order."""
        versions = range(1, self.run()["version"] + 1)
        found = [self.api.get(f"{self.path}?version={version}").json()["status"] for version in versions]
        return [S(status) for status, _ in itertools.groupby(found)]

    def goes_to(self, status: Status) -> "Walker":
        """Bring a new run into a status, by a shortest way."""
        WAYS[status](self)
        # What time does to a run may have taken it further already.
        assert self.run()["status"] == status or status in self.statuses()
        return self


def _after(status: Status, step: Callable[[Walker], Any], **job: Any) -> Callable[[Walker], None]:
    def way(w: Walker) -> None:
        w.job |= job
        w.goes_to(status)
        step(w)

    return way


WAYS: dict[Status, Callable[[Walker], None]] = {
    S.DELAYED: lambda w: w.trigger(**{"delay_secs": 3600} | w.body),
    S.QUEUED: lambda w: w.trigger(),
    S.DEQUEUED: _after(S.QUEUED, lambda w: w.take(start=False)),
    S.EXECUTING: _after(S.QUEUED, lambda w: w.take()),
    S.WAITING: _after(S.EXECUTING, lambda w: w.say("wait", {})),
    S.PAUSED: _after(S.EXECUTING, lambda w: w.order("/pause")),
    S.COMPLETED: _after(S.EXECUTING, lambda w: w.say("complete", {"result": 1})),
    S.FAILED: _after(S.EXECUTING, Walker.fail_for_good),
    S.CANCELED: _after(S.QUEUED, lambda w: w.order("", method="DELETE")),
    S.DEAD_LETTER: _after(S.EXECUTING, lambda w: w.say("fail", {"error": "boom"}), max_attempts=1),
    S.TIMED_OUT: _after(S.EXECUTING, lambda w: w.await_status(S.TIMED_OUT), max_attempts=1, timeout_secs=SOON),
    S.EXPIRED: _after(S.QUEUED, lambda w: w.await_status(S.EXPIRED), run_ttl_secs=0.2),
}


def _crashed(w: Walker) -> None:
    w.job, w.lease_secs = {"max_attempts": 1}, 1
    w.goes_to(S.EXECUTING)
    w.await_status(S.CRASHED)


def _system_failed(w: Walker) -> None:
    w.job, w.lease_secs = {"max_attempts": 1}, 1
    w.goes_to(S.DEQUEUED)
    w.await_status(S.SYSTEM_FAILED)


def _stage(w: Walker) -> None:
    """Stage a dead letter as a replay in bulk does, and stop there: that goes on in the same transaction."""
    client = w.api.client
    backend, staging = client.app.state.backend, CommandRuns(CONTEXT, [(w.run_id, StageReplay())])
    client.portal.call(backend.committer.execute, w.api.project_id, staging)


WAYS |= {S.CRASHED: _crashed, S.SYSTEM_FAILED: _system_failed, S.REPLAY_STAGED: _after(S.DEAD_LETTER, _stage, **ONCE)}


@dataclass(frozen=True)
class Step:
    """How a run in one status gets into the next: by a call, or by time, with what had to be set for it."""

    act: Callable[[Walker], Any] | None = None
    job: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    lease_secs: float = 60
    then: Status | None = None
    """Where the same call takes the run right after."""


def _wait_for_event_in_vain(w: Walker) -> None:
    w.say("resume")
    w.say("wait-for-event", {"event_key": EVENT, "timeout_secs": SOON})


def _wait_for_event_and_hear_it(w: Walker) -> None:
    w.say("resume")
    w.say("wait-for-event", {"event_key": EVENT, "timeout_secs": 60})
    answer = w.api.post(f"/v1/events/{EVENT}/send", {"payload": 1})
    assert answer.status_code == 200


def _replay_in_bulk(w: Walker) -> None:
    answer = w.api.post("/v1/runs/bulk-dlq-replay", {"run_ids": [w.run_id]})
    assert answer.json()["count"] == 1, answer.text


DELETE = Step(lambda w: w.order("", method="DELETE"))

STEPS: dict[tuple[Status, Status], Step] = {
    (S.DELAYED, S.QUEUED): Step(body={"delay_secs": 0.5}),
    (S.DELAYED, S.CANCELED): DELETE,
    (S.QUEUED, S.DEQUEUED): Step(lambda w: w.take(start=False)),
    (S.QUEUED, S.DELAYED): Step(lambda w: w.order("/reschedule", {"scheduled_at": FUTURE})),
    (S.QUEUED, S.CANCELED): DELETE,
    (S.QUEUED, S.EXPIRED): Step(body={"ttl_secs": 0.2}),
    (S.DEQUEUED, S.EXECUTING): Step(lambda w: w.say("start")),
    (S.DEQUEUED, S.QUEUED): Step(lambda w: w.say("release", {"reason": "busy"})),
    (S.DEQUEUED, S.CANCELED): DELETE,
    (S.DEQUEUED, S.SYSTEM_FAILED): Step(job=ONCE, lease_secs=1),
    (S.EXECUTING, S.COMPLETED): Step(lambda w: w.say("complete", {"result": 1})),
    (S.EXECUTING, S.FAILED): Step(Walker.fail_for_good),
    (S.EXECUTING, S.TIMED_OUT): Step(job=ONCE | {"timeout_secs": 0.2}),
    (S.EXECUTING, S.CRASHED): Step(job=ONCE, lease_secs=1),
    (S.EXECUTING, S.CANCELED): DELETE,
    (S.EXECUTING, S.WAITING): Step(lambda w: w.say("wait", {"until": FUTURE})),
    (S.EXECUTING, S.QUEUED): Step(lambda w: w.order("/restart")),
    (S.EXECUTING, S.DEAD_LETTER): Step(lambda w: w.say("fail", {"error": "boom"}), job=ONCE),
    (S.EXECUTING, S.PAUSED): Step(lambda w: w.order("/pause")),
    (S.WAITING, S.EXECUTING): Step(lambda w: w.say("resume")),
    (S.WAITING, S.QUEUED): Step(_wait_for_event_and_hear_it),
    (S.WAITING, S.COMPLETED): Step(lambda w: w.say("complete", {"result": 1})),
    (S.WAITING, S.FAILED): Step(Walker.fail_for_good),
    (S.WAITING, S.CANCELED): DELETE,
    (S.WAITING, S.TIMED_OUT): Step(_wait_for_event_in_vain),
    (S.PAUSED, S.QUEUED): Step(lambda w: w.order("/resume")),
    (S.PAUSED, S.CANCELED): DELETE,
    (S.DEAD_LETTER, S.QUEUED): Step(lambda w: w.order("/dlq-replay")),
    (S.DEAD_LETTER, S.REPLAY_STAGED): Step(_replay_in_bulk, then=S.QUEUED),
    (S.REPLAY_STAGED, S.QUEUED): Step(_replay_in_bulk),
    (S.REPLAY_STAGED, S.CANCELED): DELETE,
}

NOT_BY_CALLS = {
    (S.DELAYED, S.EXPIRED): "the time to live begins when the run is due, and then it is queued",
    (S.EXECUTING, S.SYSTEM_FAILED): "nothing that a caller does makes the server give up on a running attempt",
}
"""Transitions of the table that no call leads to, and why; `tests/run` makes them."""


def _name(pair: tuple[Status, Status]) -> str:
    return "-".join(pair)


@pytest.mark.parametrize("pair", STEPS, ids=_name)
def test_a_user_can_make_the_transition(api: Api, pair: tuple[Status, Status]):
    before, after = pair
    step = STEPS[pair]
    w = Walker(api, dict(step.job), dict(step.body), step.lease_secs).goes_to(before)
    if step.act is not None:
        step.act(w)
    w.await_status(step.then or after)
    walked = w.statuses()
    made = [before, after] if step.then is None else [before, after, step.then]
    assert walked[-len(made) :] == made
    assert all(following in TRANSITIONS[status] for status, following in itertools.pairwise(walked))


def test_every_transition_of_the_table_is_made_or_has_a_reason_why_not():
    assert STEPS.keys() | NOT_BY_CALLS.keys() == {(a, b) for a, following in TRANSITIONS.items() for b in following}
    assert not STEPS.keys() & NOT_BY_CALLS.keys()


# --- what is not legal --------------------------------------------------------------------------------

WORKER = {
    "start": {},
    "checkpoint": {"state": 2},
    "log": {"message": "late"},
    "progress": {"percent": 99},
    "usage": {"provider": "openai", "model": "gpt"},
    "tool-call": {"tool_name": "search"},
    "output": {"output_key": "late", "value": 1},
    "state": {"key": "late", "value": 1},
    "wait": {"reason": "late", "until": FUTURE},
    "wait-for-event": {"event_key": "late"},
    "resume": {},
    "spawn": {"job_slug": "parse"},
    "continue": {},
    "complete": {"result": "late"},
    "fail": {"error": "late"},
    "release": {"reason": "late"},
}

OPERATOR: dict[str, tuple[str, str, Any]] = {
    "delete": ("DELETE", "", None),
    "cancel": ("POST", "/cancel", {"reason": "late"}),
    "pause": ("POST", "/pause", {"reason": "late"}),
    "unpause": ("POST", "/resume", None),
    "restart": ("POST", "/restart", {"machine_preset": "micro"}),
    "reschedule": ("POST", "/reschedule", {"scheduled_at": PAST, "payload": "late"}),
    "replay": ("POST", "/replay", None),
    "dlq-replay": ("POST", "/dlq-replay", None),
}

LEGAL: dict[Status, str] = {
    S.DELAYED: "delete cancel reschedule",
    # A worker that gives its attempt back twice is told that this is done.
    S.QUEUED: "delete cancel reschedule release",
    S.DEQUEUED: "delete cancel start release",
    S.EXECUTING: "delete cancel pause restart checkpoint log progress usage tool-call output state wait "
    "wait-for-event spawn continue complete fail release start resume",
    S.WAITING: "delete cancel checkpoint log progress usage tool-call output state resume spawn continue complete fail",
    # Pausing twice does no harm.
    S.PAUSED: "delete cancel unpause restart pause",
    S.DEAD_LETTER: "replay dlq-replay",
    S.REPLAY_STAGED: "delete cancel dlq-replay",
    # Completing twice does none either.
    S.COMPLETED: "replay complete",
    **dict.fromkeys((S.FAILED, S.TIMED_OUT, S.CRASHED, S.SYSTEM_FAILED, S.CANCELED, S.EXPIRED), "replay"),
}
"""What may be asked of a run in each status; everything else has to be refused."""


def illegal(status: Status) -> list[str]:
    return [name for name in (*WORKER, *OPERATOR) if name not in LEGAL[status].split()]


def ask(w: Walker, name: str) -> Any:
    if name in WORKER:
        return w.api.speaking_as(w.token).post(f"/sdk/v1/runs/{w.run_id}/{name}", WORKER[name])
    method, path, body = OPERATOR[name]
    return w.api.request(method, w.path + path, body)


@pytest.mark.parametrize("status", LEGAL)
def test_what_is_illegal_is_refused_and_changes_nothing(api: Api, status: Status):
    w = Walker(api).goes_to(status)
    before, history, runs = api.get(w.path).content, w.history(), api.get("/v1/runs").content
    for name in illegal(status):
        refused = ask(w, name)
        assert 400 <= refused.status_code < 500, f"{name}: {refused.status_code} {refused.text}"
        assert refused.json()["code"] == "illegal_transition", f"{name}: {refused.text}"
        assert status in refused.json()["message"], name
        assert api.get(w.path).content == before, name
    if status is not S.QUEUED:
        assert api.take(run_id=w.run_id, start=True) == []
    if not {"complete", "fail"} & set(LEGAL[status].split()):
        for ending in ({"status": "completed", "result": 1}, {"status": "failed", "error": {"message": "late"}}):
            settlement = {"run_id": w.run_id, "attempt": w.run()["attempt"], **ending}
            (result,) = api.post("/v1/runs/settle", {"settlements": [settlement]}).json()["results"]
            assert (result["status"], result["error"]["code"]) == (status, "illegal_transition")
    assert (api.get(w.path).content, w.history()) == (before, history)
    # Nothing was made on the side either: no child, no continuation, no replay.
    assert api.get("/v1/runs").content == runs


def test_every_status_has_a_row():
    assert LEGAL.keys() == WAYS.keys() == set(S)
    for legal in LEGAL.values():
        assert set(legal.split()) <= WORKER.keys() | OPERATOR.keys()
