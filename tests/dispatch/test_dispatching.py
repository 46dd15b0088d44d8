"""The dispatcher against real endpoints: what is sent, and what each answer makes of the run."""

import asyncio
import base64
import hashlib
import hmac
from datetime import timedelta

import orjson
import pytest
from tests.dispatch.endpoint import Script, answering, babbling, hanging, in_turn, open_endpoint, resetting
from tests.dispatch.process import TOKENS, Process, in_process, open_process

from runcord.clock import monotonic, unix_now
from runcord.dispatch.breaker import Breakers
from runcord.run import commands as c
from runcord.run.commands import Claim
from runcord.testing.project import open_project
from runcord.testing.server import free_port

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def test_a_run_is_sent_and_its_answer_is_the_result(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(200, {"said": "hello"})) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url + "?x=1")
            run = await process.project.trigger(job, payload={"name": "Ada"})
            ended = await process.ends(run)
            (request,) = endpoint.requests
        assert (request.target, request.body) == ("/run?x=1", b'{"name":"Ada"}')
        assert process.result(run) == b'{"said":"hello"}'
        headers = request.headers
        assert (headers["x-run-id"], headers["x-job-id"], headers["x-attempt"]) == (run.run_id, job.job_id, "1")
        assert headers["content-type"] == "application/json"
        token = TOKENS.read(headers["x-run-token"])
        assert (token.run_id, token.claim) == (run.run_id, Claim(attempt=1, fence=1))
        assert "webhook-signature" not in headers and "x-previous-error" not in headers
        assert ended.worker_id is not None and ended.worker_id.startswith("push:")
        assert process.project.history(run) == [
            f"run.{what}.v1" for what in ("triggered", "dequeued", "attempted", "dispatched", "completed")
        ]

    in_process(dsn, test)


def test_the_trace_is_of_real_durations(dsn: str) -> None:
    async def slow(request: object, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(b"17")

    async def test(process: Process) -> None:
        async with open_endpoint(slow) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            began = monotonic()
            run = await process.project.trigger(job)
            trace = (await process.ends(run)).execution_trace
            took = (monotonic() - began) * 1000
        assert trace is not None
        assert all(step >= 1 for step in trace.__dict__.values())
        assert trace.ttfb_ms + trace.connect_ms >= 200 and trace.transfer_ms >= 80
        parts = trace.connect_ms + trace.ttfb_ms + trace.transfer_ms
        assert abs(trace.dispatch_ms - parts) < 50
        assert trace.queue_wait_ms + trace.dequeue_ms + trace.dispatch_ms <= trace.total_ms + 50 <= took + 100

    in_process(dsn, test)


def test_a_request_is_signed_with_the_jobs_secret(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(200)) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url, has_endpoint_signing_secret=True)
            run = await process.project.trigger(job, payload=[1])
            await process.ends(run)
            headers = endpoint.requests[0].headers
        covered = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.[1]".encode()
        expected = base64.b64encode(hmac.digest(b"k" * 32, covered, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert headers["webhook-id"] == f"{run.run_id}_1_1"
        assert abs(int(headers["webhook-timestamp"]) - unix_now()) < 30

    in_process(dsn, test, secrets={"*": SECRET})


def test_a_retry_tells_what_went_before(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(in_turn((503, b"h\xc3\xb6her", {}), (200, b"", {}))) as endpoint:
            job = await process.project.create_job(
                endpoint_url=endpoint.url, retry_strategy="fixed", retry_initial_delay_secs=2
            )
            given = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
            run = await process.project.trigger(job, metadata={"_trace_parent": given})
            retried = await process.becomes(run, lambda now: now.attempt == 2)
            assert retried.error is not None
            assert (retried.error.type, retried.error.message) == (
                "server",
                "the endpoint answered 503 Service Unavailable",
            )
            assert retried.error.details == {"status_code": 503, "body": "höher"}
            await process.ends(run)
            first, second = endpoint.requests
        assert second.headers["x-previous-error"] == "the endpoint answered 503 Service Unavailable"
        assert (first.attempt, second.attempt) == (1, 2)
        assert second.headers["webhook-id"] == f"{run.run_id}_1_2"
        traces = [request.headers["traceparent"].split("-") for request in (first, second)]
        assert {trace[1] for trace in traces} == {"ab" * 16}
        assert len({trace[2] for trace in traces} | {"cd" * 8}) == 3

    in_process(dsn, test)


def test_the_last_checkpoint_goes_along_if_it_is_not_too_large(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(hanging) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            run = await process.project.trigger(job)
            for text, goes_along in (("näh", True), ("x" * 65_600, False)):
                await asyncio.wait_for(endpoint.begun.wait(), 10)
                endpoint.begun.clear()
                await process.project.command(run, c.Checkpoint({"at": text}))
                await process.project.command(run, c.Restart())
                await asyncio.wait_for(endpoint.begun.wait(), 10)
                headers = endpoint.requests[-1].headers
                assert "x-checkpoint-at" in headers
                assert ("x-last-checkpoint" in headers) is goes_along
                if goes_along:
                    assert orjson.loads(headers["x-last-checkpoint"]) == {"at": text}
            await process.project.command(run, c.Cancel())

    in_process(dsn, test)


@pytest.mark.parametrize(
    ("script", "error_class", "says"),
    [
        (answering(400, b"no"), "client", "400 Bad Request"),
        (answering(401), "auth", "401"),
        (answering(403), "auth", "403"),
        (answering(404), "client", "404"),
        (answering(302, Location="http://elsewhere/"), "client", "redirects to http://elsewhere/"),
        (answering(200, b"x" * (1024 * 1024 + 1)), "client", "larger than 1,048,576 bytes"),
        (answering(200, b"\xff\xfe"), "client", "neither JSON nor text"),
        (answering(200, b"[" * 300 + b"]" * 300), "client", "nests more than"),
        (answering(200, b'{"n": 99999999999999999999999}'), "client", "64 bits"),
    ],
)
def test_an_answer_that_no_attempt_will_better_fails_the_run_for_good(
    dsn: str, script: Script, error_class: str, says: str
) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(script) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            ended = await process.ends(await process.project.trigger(job), "failed")
            assert len(endpoint.requests) == 1
        assert ended.error is not None and ended.error.type == error_class
        assert says in ended.error.message

    in_process(dsn, test)


@pytest.mark.parametrize(
    ("script", "error_class"),
    [
        (answering(408), "timeout"),
        (answering(425), "transient"),
        (answering(429), "rate_limited"),
        (answering(500), "server"),
        (answering(503), "server"),
        (resetting, "transient"),
        (babbling, "transient"),
    ],
)
def test_an_answer_that_may_get_better_is_asked_for_again_until_no_attempt_is_left(
    dsn: str, script: Script, error_class: str
) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(script) as endpoint:
            job = await process.project.create_job(
                endpoint_url=endpoint.url, max_attempts=2, retry_strategy="fixed", retry_initial_delay_secs=0
            )
            run = await process.project.trigger(job)
            ended = await process.ends(run, "dead_letter")
            assert [request.attempt for request in endpoint.requests] == [1, 2]
        assert ended.error is not None and ended.error.type == error_class
        assert ended.execution_trace is not None and ended.execution_trace.dispatch_ms >= 1
        assert process.project.history(run).count("run.dispatched.v1") == 2

    in_process(dsn, test)


def test_nobody_there_is_a_failure_of_the_connection(dsn: str) -> None:
    async def test(process: Process) -> None:
        job = await process.project.create_job(endpoint_url=f"http://127.0.0.1:{free_port()}/", max_attempts=1)
        ended = await process.ends(await process.project.trigger(job), "dead_letter")
        assert ended.error is not None and ended.error.type == "connection"
        assert "cannot connect" in ended.error.message

    in_process(dsn, test)


@pytest.mark.parametrize(
    ("body", "result"),
    [(b"", None), (b" ", None), (b"null", None), (b'"x"', b'"x"'), (b"plain, text", b'"plain, text"'), (b"0", b"0")],
)
def test_what_is_not_json_is_kept_as_text(dsn: str, body: bytes, result: bytes | None) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(201, body)) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            run = await process.project.trigger(job)
            await process.ends(run)
        assert process.result(run) == result

    in_process(dsn, test)


def test_retry_after_is_waited_for(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(429, Retry_After="100")) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            run = await process.project.trigger(job)
            retried = await process.becomes(run, lambda now: now.attempt == 2)
        assert retried.next_retry_at is not None
        assert retried.next_retry_at - retried.updated_at == timedelta(seconds=100)

    in_process(dsn, test)


def test_the_attempts_timeout_ends_the_request(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(hanging) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url, timeout_secs=2, max_attempts=1)
            run = await process.project.trigger(job)
            ended = await process.ends(run, "timed_out")
            await asyncio.wait_for(endpoint.left.wait(), 10)
        assert ended.error is not None and ended.error.message == "execution timed out"
        trace = ended.execution_trace
        assert trace is not None and trace.total_ms >= 2000 > trace.dispatch_ms >= trace.ttfb_ms >= 1500

    in_process(dsn, test)


def test_a_result_that_the_job_does_not_take_fails_the_run_for_good(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(200, {"n": "x"})) as endpoint:
            schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
            job = await process.project.create_job(endpoint_url=endpoint.url, result_schema=schema)
            ended = await process.ends(await process.project.trigger(job), "failed")
        assert ended.error is not None and "result schema" in ended.error.message

    in_process(dsn, test)


# --- accepted, and reported through the API -----------------------------------------------------------


def test_an_endpoint_that_accepts_reports_later(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(202, b"queued")) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url, timeout_secs=600)
            run = await process.project.trigger(job)
            await process.becomes(run, lambda now: now.trace is not None)
            deadline = monotonic() + 10
            lasting = "select extract(epoch from expires_at - now()) from leases"
            while process.project.rows(lasting)[0][0] < 500:
                assert monotonic() < deadline
            token = TOKENS.read(endpoint.requests[0].headers["x-run-token"])
        await process.project.command(run, c.Complete({"later": True}, claim=token.claim))
        ended = await process.ends(run)
        trace = ended.execution_trace
        assert trace is not None and trace.connect_ms >= 1 and trace.total_ms >= trace.dispatch_ms
        assert process.result(run) == b'{"later":true}'

    in_process(dsn, test, lease_secs=1)


def test_an_endpoint_may_report_before_it_answers(dsn: str) -> None:
    async def test(process: Process) -> None:
        async def reporting(request: object, writer: asyncio.StreamWriter) -> None:
            claim = TOKENS.read(endpoint.requests[0].headers["x-run-token"]).claim
            await process.project.command(run, c.Complete("by the API", claim=claim))
            await answering(200, b"by the answer")(endpoint.requests[0], writer)

        async with open_endpoint(reporting) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            run = await process.project.trigger(job, delay_secs=0.2)
            await process.ends(run)
        assert process.result(run) == b'"by the API"'

    in_process(dsn, test)


def test_a_run_that_waits_for_an_event_is_sent_again_with_it(dsn: str) -> None:
    async def test(process: Process) -> None:
        async def waiting(request: object, writer: asyncio.StreamWriter) -> None:
            claim = TOKENS.read(endpoint.requests[-1].headers["x-run-token"]).claim
            await process.project.command(run, c.WaitForEvent("paid", "trg_1", claim=claim))
            await answering(202)(endpoint.requests[-1], writer)

        async with open_endpoint(waiting) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            run = await process.project.trigger(job, delay_secs=0.2)
            await process.becomes(run, lambda now: now.status == "waiting" and now.trace is not None)
            endpoint.script = answering(200)
            await process.project.command(run, c.ReceiveEvent("paid", {"euros": 5}))
            await process.ends(run)
            assert orjson.loads(endpoint.requests[1].headers["x-event"]) == {
                "event_key": "paid",
                "payload": {"euros": 5},
            }

    in_process(dsn, test, lease_secs=1)


# --- leases, cancels, shutdown ------------------------------------------------------------------------


def test_a_lease_is_kept_while_the_request_is_under_way(dsn: str) -> None:
    async def test(process: Process) -> None:
        async def slow(request: object, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(2.5)
            await answering(200)(endpoint.requests[0], writer)

        async with open_endpoint(slow) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            ended = await process.ends(await process.project.trigger(job))
            assert ended.attempt == 1 and len(endpoint.requests) == 1

    in_process(dsn, test, lease_secs=1)


@pytest.mark.parametrize("command", [c.Cancel(), c.Pause()])
def test_a_run_that_is_stopped_has_its_request_aborted(dsn: str, command: c.OperatorCommand) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(hanging) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            run = await process.project.trigger(job)
            await asyncio.wait_for(endpoint.begun.wait(), 10)
            began = monotonic()
            await process.project.command(run, command)
            await asyncio.wait_for(endpoint.left.wait(), 10)
            assert monotonic() - began < 2, "heard with the commit, not with a heartbeat"
            assert "run.dispatched.v1" not in process.project.history(run)

    in_process(dsn, test)


def test_a_run_that_another_process_stops_is_found_out_about_by_the_heartbeat(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(hanging) as endpoint, open_project(dsn) as other:
            job = await process.project.create_job(endpoint_url=endpoint.url)
            run = await process.project.trigger(job)
            await asyncio.wait_for(endpoint.begun.wait(), 10)
            await other.command(run, c.Cancel())
            await asyncio.wait_for(endpoint.left.wait(), 10)

    in_process(dsn, test, lease_secs=1)


def test_a_run_that_another_process_has_queued_is_found(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(200)) as endpoint, open_project(dsn) as other:
            job = await other.create_job(endpoint_url=endpoint.url)
            await process.ends(await other.trigger(job))

    in_process(dsn, test)


def test_a_process_that_stops_gives_back_what_does_not_end(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runcord.dispatch.dispatcher.GRACE_SECS", 0.1)

    async def test() -> None:
        async with open_endpoint(hanging) as endpoint:
            async with open_process(dsn) as process:
                job = await process.project.create_job(endpoint_url=endpoint.url)
                run = await process.project.trigger(job)
                await asyncio.wait_for(endpoint.begun.wait(), 10)
            given_back = process.run(run)
            assert (given_back.status, given_back.attempt) == ("queued", 1)
            endpoint.script = answering(200)
            async with open_process(dsn) as process:
                ended = await process.ends(run)
                assert (ended.attempt, ended.fence) == (1, 2)

    asyncio.run(test())


# --- fallback and circuit breaker ---------------------------------------------------------------------


@pytest.mark.parametrize("script", [answering(500), answering(429), resetting, None])
def test_the_fallback_is_tried_once(dsn: str, script: Script | None) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(script or answering(200)) as primary, open_endpoint(answering(200, 1)) as fallback:
            url = primary.url if script else f"http://127.0.0.1:{free_port()}/"
            job = await process.project.create_job(endpoint_url=url, fallback_endpoint_url=fallback.url)
            run = await process.project.trigger(job)
            ended = await process.ends(run)
            assert (ended.attempt, len(fallback.requests)) == (1, 1)
            assert len(primary.requests) == (1 if script else 0)
        assert process.project.history(run).count("run.dispatched.v1") == 2

    in_process(dsn, test)


def test_a_fallback_that_does_no_better_leaves_the_endpoints_answer_to_count(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(500)) as primary, open_endpoint(answering(404)) as fallback:
            job = await process.project.create_job(endpoint_url=primary.url, fallback_endpoint_url=fallback.url)
            run = await process.project.trigger(job)
            retried = await process.becomes(run, lambda now: now.attempt == 2)
            assert retried.error is not None and retried.error.type == "server"

    in_process(dsn, test)


@pytest.mark.parametrize("status", [400, 404])
def test_an_answer_for_good_is_not_asked_of_the_fallback(dsn: str, status: int) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(status)) as primary, open_endpoint(answering(200)) as fallback:
            job = await process.project.create_job(endpoint_url=primary.url, fallback_endpoint_url=fallback.url)
            await process.ends(await process.project.trigger(job), "failed")
            assert fallback.requests == []

    in_process(dsn, test)


def test_an_endpoint_that_keeps_failing_is_left_alone_until_a_probe_succeeds(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(500)) as endpoint:
            job = await process.project.create_job(endpoint_url=endpoint.url, max_attempts=1)
            for _ in range(2):
                await process.ends(await process.project.trigger(job), "dead_letter")
            waiting = await process.project.trigger_many(job, [{} for _ in range(5)])
            assert [str(address) for address in process.breakers.open_endpoints()] == [f"proj_test {endpoint.url}"]
            endpoint.script = answering(200)
            sent = len(endpoint.requests)
            for made in waiting:
                assert (await process.ends(made.run)).attempt == 1
            assert (sent, len(endpoint.requests)) == (2, 7)
            assert process.breakers.open_endpoints() == []

    in_process(dsn, test, breakers=Breakers(failures=2, pause_secs=1.5))


def test_while_the_circuit_is_open_the_fallback_is_used(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(answering(500)) as primary, open_endpoint(answering(200)) as fallback:
            job = await process.project.create_job(endpoint_url=primary.url, fallback_endpoint_url=fallback.url)
            for _ in range(3):
                await process.ends(await process.project.trigger(job))
            assert (len(primary.requests), len(fallback.requests)) == (1, 3)

    in_process(dsn, test, breakers=Breakers(failures=1, pause_secs=60))


# --- sharing ------------------------------------------------------------------------------------------


def test_requests_are_bounded_and_one_job_leaves_room_for_another(dsn: str) -> None:
    async def test(process: Process) -> None:
        async with open_endpoint(hanging) as endpoint, open_endpoint(answering(200)) as quick:
            slow = await process.project.create_job("slow", endpoint_url=endpoint.url)
            other = await process.project.create_job("other", endpoint_url=quick.url)
            await process.project.trigger_many(slow, [{} for _ in range(20)])
            for _ in range(3):
                await process.ends(await process.project.trigger(other))
            assert len(endpoint.requests) == 2
            assert process.project.rows("select count(*) from leases") == [(2,)]

    in_process(dsn, test, concurrency=4)


def test_all_runs_of_many_jobs_are_sent_once_within_the_jobs_limits(dsn: str) -> None:
    async def test(process: Process) -> None:
        most, here = 0, 0

        async def counting(request: object, writer: asyncio.StreamWriter) -> None:
            nonlocal most, here
            here += 1
            most = max(most, here)
            await asyncio.sleep(0.01)
            here -= 1
            await answering(200)(endpoint.requests[0], writer)

        async with open_endpoint(counting) as endpoint, open_endpoint(answering(200)) as free:
            limited = await process.project.create_job("limited", endpoint_url=endpoint.url, max_concurrency=3)
            other = await process.project.create_job("other", endpoint_url=free.url)
            made = [*await process.project.trigger_many(limited, [{} for _ in range(30)])]
            made += await process.project.trigger_many(other, [{} for _ in range(50)])
            for each in made:
                await process.ends(each.run)
            assert (len(endpoint.requests), len(free.requests), most) == (30, 50, 3)

    in_process(dsn, test)
