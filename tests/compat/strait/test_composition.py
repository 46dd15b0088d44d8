"""What Strait's client composes of its calls: waiting, paging, retrying, streaming, idempotency, authoring."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from strait import Client, ConflictError, Middleware
from strait.authoring import JobOptions, TriggerJobInput, define_job
from strait.composition import (
    PaginatedQuery,
    PaginatedResponse,
    WaitForRunOptions,
    collect_all,
    paginate,
    trigger_and_wait_async,
    wait_for_run,
    with_idempotency,
)

from runcord.run.status import FINISHED, TRANSITIONS

from .conftest import RunScenario
from .world import FORMS, Form, Work, World

SOON = WaitForRunOptions(timeout_ms=10_000, initial_delay_ms=10, max_delay_ms=50)


async def ended_run(w: World, status: str) -> str:
    """Return the id of a run that has ended so."""
    if status == "dead_letter":
        return await w.dead_letter()
    if status == "canceled":
        await w.new_job()
        return (await w.call("runs.delete", (await w.new_run())["id"]))["id"]
    if status == "expired":
        await w.new_job()
        return (await w.new_run(ttl_secs=0.05))["id"]
    work = await w.working()
    say: dict[str, tuple[str, Any]] = {
        "completed": ("complete_run", {"result": 1}),
        "failed": ("fail_run", {"error": "no", "retryable": False}),
    }
    await work.say(*say[status])
    return work.run_id


@pytest.mark.parametrize("status", ["completed", "failed", "canceled", "dead_letter", "expired"])
def test_wait_for_run_ends_with_the_run(play: RunScenario, status: str):
    assert status in FINISHED

    async def scenario(w: World) -> None:
        run_id = await ended_run(w, status)
        run = wait_for_run(w.client().runs.get, lambda run: run["status"], run_id, SOON)
        assert (run["id"], run["status"]) == (run_id, status)

    play("sync", scenario)


def test_trigger_and_wait_sees_the_worker_s_end(play: RunScenario):
    async def scenario(w: World) -> None:
        await w.new_job()
        looks = 0

        async def trigger(payload: Any) -> Any:
            return await w.new_run(payload=payload)

        async def look(run_id: str) -> Any:
            nonlocal looks
            looks += 1
            if looks == 2:
                claim = await w.take(run_id, start=True)
                await Work(w, run_id, claim["run_token"]).say("complete_run", {"result": "done"})
            return await w.call("runs.get", run_id)

        run = await trigger_and_wait_async(trigger, look, lambda r: r["id"], lambda r: r["status"], {"n": 1}, SOON)
        assert (run["status"], run["result"], looks) == ("completed", "done", 2)

    play("async", scenario)


def test_paginate_meets_every_run_of_a_batch_once(play: RunScenario):
    async def scenario(w: World) -> None:
        job = await w.new_job()
        items = [{"payload": n} for n in range(250)]
        batch = await w.call("jobs.bulk_trigger", job["id"], {"items": items})

        def page(query: PaginatedQuery) -> PaginatedResponse[dict[str, Any]]:
            asked = {"envelope": "true", "batch_id": batch["batch_id"], "limit": str(query.limit)}
            if query.cursor:
                asked["cursor"] = query.cursor
            return PaginatedResponse(**w.client().runs.list(query=asked))

        runs = collect_all(paginate(page, limit=100))
        assert [run["payload"] for run in runs] == list(range(250))[::-1]

    play("sync", scenario)


@pytest.mark.parametrize("form", FORMS)
def test_the_stream_of_an_ended_run_replays_every_change_and_ends(play: RunScenario, form: Form):
    async def scenario(w: World) -> None:
        work = await w.working({"n": 1})
        await work.say("log_run", {"message": "line\u2028separator \x1b[0m"})
        await work.say("complete_run", {"result": 1})
        frames = [frame async for frame in w.stream(f"/v1/runs/{work.run_id}/stream")]
        moves = [(frame["from"], frame["to"]) for frame in frames if frame.get("type") == "status_change"]
        assert moves[-1] == ("executing", "completed")
        assert all(after in TRANSITIONS[before] for before, after in moves if before)
        (logged,) = (frame for frame in frames if frame.get("type") == "event" and frame["event_type"] == "log")
        assert logged["message"] == "line\u2028separator \x1b[0m"

    play(form, scenario)


class _LosesTheFirst(httpx.HTTPTransport):
    """Loses the first answer, as a network may, and notes the status of each."""

    def __init__(self, statuses: list[int]) -> None:
        super().__init__()
        self._statuses = statuses

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        self._statuses.append(answer.status_code)
        if len(self._statuses) == 1:
            answer.read()
            answer.close()
            raise httpx.ReadError("the connection was reset", request=request)
        return answer


def test_a_call_whose_answer_was_lost_is_repeated_by_the_client_and_does_no_harm(play: RunScenario):
    async def scenario(w: World) -> None:
        work = await w.working()
        statuses: list[int] = []
        transport = _LosesTheFirst(statuses)
        with (
            Client(base_url=w.base_url, run_token=work.token, http_client=httpx.Client(transport=transport)) as client,
            client._http,
        ):
            run = client.sdk_runs.complete_run(work.run_id, {"result": 1})
        assert (run["status"], run["result"], statuses) == ("completed", 1, [200, 200])
        history = await w.request("GET", f"/v1/runs/{work.run_id}/history")
        assert [event["type"] for event in history].count("run.completed.v1") == 1

    play("sync", scenario)


def test_a_trigger_whose_answer_was_lost_makes_one_run_under_an_idempotency_key(play: RunScenario):
    async def scenario(w: World) -> None:
        job = await w.new_job()
        statuses: list[int] = []
        headers = with_idempotency(None, "order-17")
        with httpx.Client(transport=_LosesTheFirst(statuses)) as http:
            client = Client(base_url=w.base_url, api_key=w.secret, http_client=http)
            run = client.do_request("POST", f"/v1/jobs/{job['id']}/trigger", headers=headers, body={"payload": 1})
        assert (statuses, run["idempotency_hit"]) == ([201, 200], True)
        assert [row["id"] for row in await w.call("runs.list")] == [run["id"]]

    play("sync", scenario)


def test_nothing_that_a_client_may_cause_is_answered_so_that_it_tries_again(play: RunScenario):
    async def scenario(w: World) -> None:
        seen: list[int] = []
        middleware = [Middleware(on_response=lambda context: seen.append(context.status))]
        work = await w.working()
        await work.say("complete_run", {})
        client = Client(base_url=w.base_url, run_token=work.token, middleware=middleware)
        with client, pytest.raises(ConflictError, match="completed"):
            client.sdk_runs.fail_run(work.run_id, {"error": "late"})
        assert seen == [409]

    play("sync", scenario)


# --- authoring ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calls:
    """What `JobDefinition` calls, which the client itself does not have: four lines of anybody's own."""

    client: Client

    def create_job(self, body: dict[str, Any]) -> Any:
        return self.client.jobs.create(body)

    def trigger_job(self, job_id: str, body: dict[str, Any]) -> Any:
        return self.client.jobs.trigger(job_id, body)

    def bulk_trigger_job(self, job_id: str, body: dict[str, Any]) -> Any:
        return self.client.jobs.bulk_trigger(job_id, body)

    def get_run(self, run_id: str) -> Any:
        return self.client.runs.get(run_id)


@dataclass
class Page:
    url: str


def test_a_job_of_the_authoring_kit_is_registered_and_triggered(play: RunScenario):
    options: JobOptions[Page] = JobOptions(
        name="Fetch",
        slug="fetch",
        endpoint_url="https://example.com/fetch",
        description="Fetches pages",
        tags={"team": "core"},
        cron="0 * * * *",
        timezone="Europe/Berlin",
        max_concurrency=2,
        rate_limit_max=100,
        rate_limit_window_secs=60,
        max_attempts=4,
        retry_strategy="custom",
        retry_delays_secs=[1, 2],
        timeout_secs=30,
        run_ttl_secs=600,
        dedup_window_secs=5,
        webhook_url="https://example.com/hook",
        fallback_endpoint_url="https://example.com/other",
    )

    async def scenario(w: World) -> None:
        calls, job = Calls(w.client()), define_job(options)
        made = job.register(calls, w.project_id)
        for name, value in job.to_registration_body(w.project_id).items():
            assert made[name] == value, name
        first = job.trigger(calls, TriggerJobInput(Page("https://a.example"), idempotency_key="a", priority=3))
        assert (first["payload"], first["priority"], first["status"]) == ({"url": "https://a.example"}, 3, "queued")
        later = TriggerJobInput(Page("https://b.example"), metadata={"by": "me"}, scheduled_at="2199-01-01T00:00:00Z")
        delayed = job.trigger(calls, later)
        assert (delayed["status"], delayed["metadata"]) == ("delayed", {"by": "me"})
        rehearsed = job.trigger(calls, TriggerJobInput(Page("https://c.example"), dry_run=True))
        assert "id" not in rehearsed
        batch = job.batch_trigger(calls, [TriggerJobInput(Page(f"https://{n}.example")) for n in range(3)])
        assert batch["created"] == 3
        assert calls.get_run(batch["results"][2]["id"])["payload"] == {"url": "https://2.example"}

    play("sync", scenario)
