"""Attempts stop when they should, and so does the worker."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from runcord.worker import AsyncRunContext, Cancelled, RunContext

DEADLINE = 10


@pytest.mark.parametrize(("request_name", "reason"), [("cancel_requested", "cancel"), ("pause_requested", "pause")])
def test_an_asynchronous_handler_is_cancelled_on_request(
    server: Any, new_worker: Any, running: Any, request_name: str, reason: str
) -> None:
    worker = new_worker(lease_secs=1)
    reasons: list[Any] = []

    @worker.job("job")
    async def endless(payload: Any, context: AsyncRunContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(context.stop_reason)
            server.changed()

    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "executing")
        getattr(server, request_name).add(run.id)
        server.wait_until(lambda: reasons)
    assert reasons == [reason]
    assert server.calls_of("settle") == server.calls_of("release") == []


def test_a_synchronous_handler_sees_that_it_should_stop(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker(lease_secs=1)
    ended: list[Any] = []

    @worker.job("job")
    def patient(payload: Any, context: RunContext) -> str:
        while not server_asked.wait(0.01):
            context.raise_if_cancelled()
        return "never"

    server_asked = threading.Event()

    @worker.job("observer")
    def observe(payload: Any, context: RunContext) -> None:
        try:
            patient(payload, context)
        except Cancelled as error:
            ended.append(str(error))
            server.changed()
            raise

    run = server.add(job="observer")
    with running(worker):
        server.wait_until(lambda: run.status == "executing")
        server.cancel_requested.add(run.id)
        server.wait_until(lambda: ended)
    assert ended == [f"Stop working on {run.id}: cancel."]
    assert server.calls_of("settle") == []


def test_a_fenced_attempt_is_abandoned_and_its_result_discarded(
    server: Any, new_worker: Any, running: Any, refuse: Any
) -> None:
    worker = new_worker(lease_secs=1)
    go_on = threading.Event()

    @worker.job("job")
    def slow(payload: Any, context: RunContext) -> str:
        if context.attempt == 1:
            while not context.cancelled:
                go_on.wait(0.005)
            return "too late"
        return "in time"

    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.status == "executing")
        run.attempt, run.status = 2, "queued"  # the lease was lost, says the server: the next heartbeat is a 409
        server.wait_until(lambda: run.status == "completed")
    assert run.result == "in time"
    assert [item["attempt"] for call in server.calls_of("settle") for item in call] == [2]


def test_heartbeats_keep_a_lease_for_as_long_as_the_handler_works(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker(lease_secs=1)
    gate = threading.Event()
    worker.job("job")(lambda payload: gate.wait(DEADLINE))
    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.heartbeats >= 5)
        gate.set()
        server.wait_until(lambda: run.status == "completed")
    assert server.calls_of("heartbeat")[0] == {"lease_secs": 1}


def test_a_lost_heartbeat_does_no_harm_while_the_lease_lasts(
    server: Any, new_worker: Any, running: Any, refuse: Any
) -> None:
    worker = new_worker(lease_secs=1)
    gate = threading.Event()
    worker.job("job")(lambda payload: gate.wait(DEADLINE) and "unharmed")
    run = server.add()
    with running(worker):
        server.wait_until(lambda: run.heartbeats >= 4)  # the first lease would be over by now
        server.faults["heartbeat"] = [refuse(400, "bad_request")]  # what some proxy may say
        server.wait_until(lambda: not server.faults["heartbeat"] and run.heartbeats >= 6)
        gate.set()
        server.wait_until(lambda: run.status == "completed")
    assert run.result == "unharmed"


def test_an_attempt_whose_lease_ran_out_unheard_is_abandoned(
    server: Any, new_worker: Any, running: Any, refuse: Any
) -> None:
    worker = new_worker(lease_secs=1)
    reasons: list[Any] = []

    @worker.job("job")
    async def endless(payload: Any, context: AsyncRunContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(context.stop_reason)
            server.changed()

    server.faults["heartbeat"] = [refuse(503, "service_unavailable")] * 100
    server.add()
    with running(worker):
        server.wait_until(lambda: reasons)
    assert reasons == ["abandoned"]


def test_a_stopping_worker_finishes_what_it_has_begun_and_takes_no_more(
    server: Any, new_worker: Any, running: Any
) -> None:
    worker = new_worker(concurrency=1)
    gate = threading.Event()

    @worker.job("job")
    def wait(payload: Any) -> str:
        assert gate.wait(DEADLINE)
        return "finished"

    begun, left = server.add(), server.add()
    with running(worker) as thread:
        server.wait_until(lambda: begun.status == "executing")
        thread.ask_to_stop()
        gate.set()
        thread.join()
    assert (begun.status, begun.result, left.status) == ("completed", "finished", "queued")


def test_what_does_not_finish_within_the_grace_time_is_released(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker(grace_secs=0)
    gate = threading.Event()

    @worker.job("sync")
    def stubborn(payload: Any) -> None:
        gate.wait(DEADLINE)

    @worker.job("async")
    async def endless(payload: Any) -> None:
        await asyncio.Event().wait()

    runs = [server.add(job="sync"), server.add(job="async")]
    with running(worker) as thread:
        server.wait_until(lambda: all(run.status == "executing" for run in runs))
        thread.ask_to_stop()
        thread.join()
    gate.set()
    assert [run.status for run in runs] == ["released", "released"]
    assert server.calls_of("release") == [{"reason": "The worker is shutting down."}] * 2
    assert server.calls_of("settle") == []


WORKER_PROGRAM = """
import sys, threading
from runcord.worker import Worker

worker = Worker(sys.argv[1], "key", worker_id="w", poll_secs=20, grace_secs=float(sys.argv[2]))

@worker.job("job")
def wait(payload, context):
    context.log("begun")
    while not context.cancelled and not context.state.get("open"):
        pass
    return "finished"

worker.run()
"""


def start_program(server: Any, grace_secs: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-W", "error", "-c", WORKER_PROGRAM, server.base_url, str(grace_secs)])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_process_gracefully(server: Any, number: signal.Signals) -> None:
    run = server.add()
    process = start_program(server, grace_secs=10)
    try:
        server.wait_until(lambda: any(call == "log" for call, _ in run.said))
        os.kill(process.pid, number)
        run.state["open"] = True
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
    assert (run.status, run.result) == ("completed", "finished")


def test_a_second_signal_ends_the_grace_time(server: Any) -> None:
    run = server.add()
    process = start_program(server, grace_secs=600)
    try:
        server.wait_until(lambda: any(call == "log" for call, _ in run.said))
        os.kill(process.pid, signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
    assert run.status == "released"


def test_an_idle_worker_does_not_wait_for_its_poll_to_end(server: Any, new_worker: Any, running: Any) -> None:
    worker = new_worker(poll_secs=60)
    worker.job("job")(lambda payload: None)
    with running(worker) as thread:
        server.wait_until(lambda: server.calls_of("dequeue"))
        thread.ask_to_stop()
        thread.join()
