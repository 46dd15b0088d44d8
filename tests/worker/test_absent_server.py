"""A server that is away, or that answers with errors, costs time and nothing else."""

import asyncio
import threading
from typing import Any

import pytest

from runcord.worker import RunContext


def test_a_worker_outlives_errors_of_dequeue(server: Any, new_worker: Any, running: Any, refuse: Any) -> None:
    worker = new_worker()
    worker.job("job")(lambda payload: payload)
    server.faults["dequeue"] = [
        refuse(503, "service_unavailable"),
        refuse(401, "authentication_required"),
        refuse(400, "validation_failed"),
    ]
    run = server.add(1)
    with running(worker):
        server.wait_until(lambda: run.status == "completed")


def test_a_completion_is_repeated_with_the_same_content_until_it_arrives(
    server: Any, new_worker: Any, running: Any, refuse: Any
) -> None:
    worker = new_worker()
    calls = 0

    @worker.job("job")
    def work(payload: Any) -> str:
        nonlocal calls
        calls += 1
        return "result"

    server.faults["settle"] = [refuse(503, "service_unavailable")] * 7
    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "completed")
    assert calls == 1
    settles = server.calls_of("settle")
    assert len(settles) == 8
    assert all(settle == settles[0] for settle in settles)


def test_a_server_that_restarts_finds_the_worker_and_its_results(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()
    gate = threading.Event()

    @worker.job("job")
    def work(payload: Any) -> str:
        assert gate.wait(10)
        return "survived"

    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "executing")
        server.stop()
        gate.set()
        server.start()
        server.wait_until(lambda: run.status == "completed")
        later = server.add()
        server.wait_until(lambda: later.status == "completed")
    assert run.result == "survived"


def test_a_report_is_given_up_when_the_lease_has_ended(
    server: Any, new_worker: Any, running: Any, refuse: Any, caplog: pytest.LogCaptureFixture
) -> None:
    worker = new_worker(lease_secs=1)
    worker.job("job")(lambda payload: payload)
    server.faults["settle"] = [refuse(503, "service_unavailable")] * 1000
    server.faults["heartbeat"] = [refuse(503, "service_unavailable")] * 1000
    lost = server.add("lost")
    with running(worker):
        server.wait_until(lambda: "the ends of 1 attempts could not be reported" in caplog.text)
        server.faults.clear()
        found = server.add("found")
        server.wait_until(lambda: found.status == "completed")
    assert (lost.status, lost.attempt) == ("executing", 1)


@pytest.mark.parametrize(("status", "code"), [(413, "body_too_large"), (400, "validation_failed")])
def test_a_result_that_the_server_refuses_fails_its_own_run_alone(
    server: Any, new_worker: Any, running: Any, refuse: Any, status: int, code: str
) -> None:
    worker = new_worker()
    together = threading.Barrier(2)

    @worker.job("job")
    def work(payload: Any) -> Any:
        together.wait(10)
        return payload

    class RefusedWhileItHasTheBadResult(list[Any]):
        """Refuse every call that carries the bad result."""

        def __bool__(self) -> bool:
            return any(item.get("result") == "bad" for item in server.calls[-1][1])

        def pop(self, index: Any = 0) -> Any:
            return refuse(status, code)

    server.faults["settle"] = RefusedWhileItHasTheBadResult()
    bad, good = server.add("bad"), server.add("good")
    with running(worker):
        server.wait_until(lambda: bad.status == "failed" and good.status == "completed")
    assert bad.error == {"type": "ResultRefused", "message": f"The server refused the result: {code}"}


@pytest.mark.parametrize("code", ["result_invalid", "body_too_large"])
def test_a_result_that_is_refused_among_others_fails_its_own_run_at_once(
    server: Any, new_worker: Any, running: Any, code: str
) -> None:
    worker = new_worker()

    @worker.job("job")
    def work(payload: Any) -> Any:
        return payload

    server.refused_results["bad"] = code
    bad, good = server.add("bad"), server.add("good")
    with running(worker):
        server.wait_until(lambda: bad.status == "failed" and good.status == "completed")
    assert bad.error == {"type": "ResultRefused", "message": f"The server refused the result: {code}"}


def test_a_refused_settlement_does_not_stop_the_others(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker()

    @worker.job("job")
    def work(payload: Any, context: RunContext) -> Any:
        if payload == "stale":
            stale.attempt = 9
        return payload

    stale, good = server.add("stale"), server.add("good")
    with running(worker):
        server.wait_until(lambda: good.status == "completed" and len(server.calls_of("settle")) >= 1)
        again = server.add("again")
        server.wait_until(lambda: again.status == "completed")
    assert stale.status == "executing"


def test_cancelling_the_worker_ends_everything_at_once(server: Any, new_worker: Any) -> None:
    worker = new_worker()
    begun, ended = threading.Event(), threading.Event()

    @worker.job("job")
    async def endless(payload: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    run = server.add()

    async def scenario() -> None:
        task = asyncio.create_task(worker.run_async())
        assert await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert ended.is_set()

    asyncio.run(scenario())
    assert run.status == "executing"
    assert server.calls_of("settle") == []
