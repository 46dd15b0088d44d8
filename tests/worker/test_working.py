"""A worker takes runs, works on them and reports what became of them."""

import asyncio
import threading
from typing import Any

import pytest

from runcord.errors import ConfigurationError
from runcord.worker import AsyncRunContext, Fatal, Release, Retry, RunContext, Worker


def test_asynchronous_and_synchronous_handlers_complete_runs(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()
    threads: list[threading.Thread] = []

    @worker.job("double")
    async def double(payload: Any, context: AsyncRunContext) -> int:
        assert context.run_id.startswith("run_") and context.attempt == 1 and context.checkpoint is None
        return payload * 2

    @worker.job("square")
    def square(payload: Any) -> int:
        threads.append(threading.current_thread())
        return payload**2

    first, second = server.add(21, job="double"), server.add(5, job="square")
    with running(worker):
        server.wait_until(lambda: first.status == second.status == "completed")
    assert (first.result, second.result) == (42, 25)
    assert threads[0].daemon and threads[0].name == f"square {second.id}"


def test_the_slug_of_a_job_is_asked_for_once(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()
    worker.job("a")(lambda payload: "a")
    worker.job("b")(lambda payload: "b")
    runs = [server.add(job="b") for _ in range(3)]
    with running(worker):
        server.wait_until(lambda: all(run.status == "completed" for run in runs))
        late = server.add(job="b")
        server.wait_until(lambda: late.status == "completed")
    assert {run.result for run in [*runs, late]} == {"b"}
    asked = len(server.calls_of("job"))
    assert 1 <= asked <= 3  # runs that begin together may all ask; a later one does not
    assert server.calls_of("dequeue")[0]["jobs"] == ["a", "b"]


def test_no_more_runs_are_taken_than_there_are_free_slots(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker(concurrency=2)
    begun, too_many = threading.Semaphore(2), threading.Event()

    @worker.job("job")
    def crowd(payload: Any) -> None:
        if not begun.acquire(blocking=False):
            too_many.set()
        too_many.wait(0.1)  # long enough for a third one to come, if it could
        begun.release()

    runs = [server.add() for _ in range(5)]
    with running(worker):
        server.wait_until(lambda: all(run.status == "completed" for run in runs))
    assert not too_many.is_set()
    assert {call["limit"] for call in server.calls_of("dequeue")} == {1, 2}
    assert server.calls_of("dequeue")[0]["start"] is True


def test_many_ends_are_reported_in_one_call(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker(concurrency=50)
    worker.job("job")(lambda payload: payload)
    runs = [server.add(number) for number in range(50)]
    with running(worker):
        server.wait_until(lambda: all(run.status == "completed" for run in runs))
    assert [run.result for run in runs] == list(range(50))
    assert len(server.calls_of("settle")) < 25


def test_an_exception_fails_the_attempt_and_the_next_one_is_told(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()
    seen: list[Any] = []

    @worker.job("job")
    async def flaky(payload: Any, context: AsyncRunContext) -> str:
        seen.append(context.previous_error)
        if context.attempt < 3:
            raise LookupError(f"attempt {context.attempt}")
        return "at last"

    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "completed")
    assert (run.result, run.attempt) == ("at last", 3)
    assert seen[0] is None
    assert (seen[2]["type"], seen[2]["message"]) == ("LookupError", "attempt 2")
    assert 'raise LookupError(f"attempt {context.attempt}")' in seen[2]["stack"]
    assert "runcord/worker" not in seen[2]["stack"]


@pytest.mark.parametrize("asynchronous", [True, False])
def test_fatal_ends_the_run(server: Any, new_worker: Any, running: Any, asynchronous: bool) -> None:
    worker = new_worker()

    def give_up(payload: Any) -> None:
        raise Fatal("no use")

    async def give_up_async(payload: Any) -> None:
        raise Fatal("no use")

    worker.job("job")(give_up_async if asynchronous else give_up)
    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "failed")
    assert (run.retryable, run.attempt, run.error["message"]) == (False, 1, "no use")


def test_a_retry_says_when(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()

    @worker.job("job")
    def later(payload: Any, context: RunContext) -> None:
        if context.attempt == 1:
            raise Retry("not yet", after=12.5)

    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "completed")
    [failure] = server.calls_of("fail")
    assert (failure["retry_after_secs"], failure["retryable"], failure["error"]["message"]) == (12.5, True, "not yet")


def test_a_release_gives_the_run_back(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()

    @worker.job("job")
    async def not_me(payload: Any) -> None:
        raise Release("no room", delay=3)

    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "released")
    assert server.calls_of("release") == [{"reason": "no room", "delay_secs": 3.0}]


@pytest.mark.parametrize("misdeed", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_handler_cannot_end_the_worker(
    server: Any, new_worker: Any, running: Any, misdeed: BaseException, asynchronous: bool
) -> None:
    worker = new_worker()

    def misbehave(payload: Any) -> None:
        if payload == "bad":
            raise misdeed

    async def misbehave_async(payload: Any) -> None:
        misbehave(payload)

    worker.job("job")(misbehave_async if asynchronous else misbehave)
    bad, good = server.add("bad"), server.add("good")
    with running(worker):
        server.wait_until(lambda: bad.status == "dead_letter" and good.status == "completed")
    assert bad.error["type"].endswith(type(misdeed).__name__)


def test_a_result_that_json_cannot_carry_fails_for_good(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()
    worker.job("job")(lambda payload: {payload: object()} if payload else "fine")
    bad, good = server.add("x"), server.add()
    with running(worker):
        server.wait_until(lambda: bad.status == "failed" and good.status == "completed")
    assert bad.error["message"].startswith("The result cannot be sent as JSON")


def test_a_message_that_no_database_takes_is_cleaned(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()

    @worker.job("job")
    def rude(payload: Any) -> None:
        raise Fatal("nul \0 and surrogate \ud800")

    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "failed")
    assert run.error["message"] == "nul � and surrogate ?"


def test_the_context_speaks_for_the_run(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()

    @worker.job("sync")
    def speak(payload: Any, context: RunContext) -> Any:
        context.log("hello", level="warn", data={"n": 1})
        context.progress(50, "half")
        context.stream("token ", done=True)
        context.annotate({"a": "b"})
        context.tag({"t": "u"})
        context.usage("prov", "model", prompt_tokens=2)
        context.tool_call("grep", input=1)
        context.output("file", {"lines": 3})
        context.state.set("k", [1])
        context.state.set("gone", 1)
        context.state.delete("gone")
        context.save_checkpoint({"step": 2})
        context.spawn("child", {"x": 1})
        return [context.state.get("k"), context.state.get("gone", "nothing"), context.state.all(), context.checkpoint]

    @worker.job("async")
    async def speak_async(payload: Any, context: AsyncRunContext) -> Any:
        await context.log("hello", level="warn", data={"n": 1})
        await context.progress(50, "half")
        await context.stream("token ", done=True)
        await context.annotate({"a": "b"})
        await context.tag({"t": "u"})
        await context.usage("prov", "model", prompt_tokens=2)
        await context.tool_call("grep", input=1)
        await context.output("file", {"lines": 3})
        await context.state.set("k", [1])
        await context.state.set("gone", 1)
        await context.state.delete("gone")
        await context.save_checkpoint({"step": 2})
        await context.spawn("child", {"x": 1})
        state = context.state
        return [await state.get("k"), await state.get("gone", "nothing"), await state.all(), context.checkpoint]

    runs = [server.add(job="sync"), server.add(job="async")]
    with running(worker):
        server.wait_until(lambda: all(run.status == "completed" for run in runs))
    assert runs[0].said == runs[1].said
    assert [call for call, _ in runs[0].said if call != "state"] == [
        "log",
        "progress",
        "stream",
        "annotate",
        "tags",
        "usage",
        "tool-call",
        "output",
        "checkpoint",
        "spawn",
    ]
    assert ("spawn", {"job_slug": "child", "project_id": "p", "payload": {"x": 1}}) in runs[0].said
    assert runs[0].result == runs[1].result == [[1], "nothing", {"k": [1]}, {"step": 2}]


def test_a_later_attempt_goes_on_from_the_checkpoint(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()
    done: list[int] = []

    @worker.job("job")
    def count(payload: Any, context: RunContext) -> list[int]:
        for step in range((context.checkpoint or {"next": 0})["next"], 4):
            done.append(step)
            context.save_checkpoint({"next": step + 1})
            if step == 1 and context.attempt == 1:
                raise ConnectionError("lost")
        return done

    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "completed")
    assert run.result == [0, 1, 2, 3]


@pytest.mark.parametrize("asynchronous", [True, False])
def test_waiting_for_an_event_ends_the_attempt_without_a_report(
    server: Any, new_worker: Any, running: Any, asynchronous: bool
) -> None:
    worker = new_worker()

    @worker.job("sync")
    def approve(payload: Any, context: RunContext) -> Any:
        if context.event is None:
            try:
                context.wait_for_event("approval", timeout_secs=60)
            except Exception:
                return "caught what it should not have seen"
        return [context.event.event_key, context.event.payload]

    @worker.job("async")
    async def approve_async(payload: Any, context: AsyncRunContext) -> Any:
        if context.event is None:
            await context.wait_for_event("approval", timeout_secs=60)
        return [context.event.event_key, context.event.payload]

    run = server.add(job="async" if asynchronous else "sync")
    other = server.add(job="async", event={"event_key": "other"})
    with running(worker):
        server.wait_until(lambda: run.status == "waiting" and other.status == "completed")
        assert [item["run_id"] for call in server.calls_of("settle") for item in call] == [other.id]
        run.event, run.status = {"event_key": "approval", "payload": {"approved": True}}, "queued"
        server.wait_until(lambda: run.status == "completed")
    assert run.result == ["approval", {"approved": True}]
    assert other.result == ["other", None]


def test_a_handler_must_take_a_payload_and_perhaps_a_context() -> None:
    worker = Worker("http://x", "k")
    for function in (lambda: 1, lambda a, b, c: 1, lambda a, *, needed: 1):
        with pytest.raises(TypeError, match=r"must take \(payload\) or \(payload, context\)"):
            worker.job("job")(function)
    worker.job("job")(lambda payload: 1)
    with pytest.raises(ValueError, match="has a handler already"):
        worker.job("job")(lambda payload: 1)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("concurrency", 0), ("lease_secs", 0), ("poll_secs", 61), ("grace_secs", -1), ("worker_id", "w" * 129)],
)
def test_settings_that_make_no_sense_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=setting):
        Worker("http://x", "k", **{setting: value})


def test_a_worker_without_handlers_or_address_does_not_start(new_worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no handlers"):
        asyncio.run(new_worker().run_async())
    monkeypatch.delenv("RUNCORD_BASE_URL", raising=False)
    with pytest.raises(ConfigurationError):
        Worker(api_key="k")


def test_each_worker_has_its_own_name() -> None:
    first, second = (Worker("http://x", "k").configuration.worker_id for _ in range(2))
    assert first != second
