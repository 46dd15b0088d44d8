"""The real hooks of Trigger.dev, in a page of React on another origin: what they show, send, and let go of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from tests.compat.trigger.conftest import Hand
from tests.compat.trigger.page import Page, answers, told
from tests.compat.trigger.sdk import Sdk

from runcord.clock import monotonic
from runcord.http.cors import ALLOWED, EXPOSED
from runcord.testing.postgres import TestServer
from runcord.testing.server import ServerProcess

STREAMS = 4
"""So few may be open on the server that a subscription that it does not forget is missed."""
WAITING_SECS = 10
"""Less than a poll is held."""


@pytest.fixture(scope="module")
def server(postgres: TestServer, template_database: str) -> Iterator[ServerProcess]:
    dsn = postgres.create_database(template=template_database)
    with ServerProcess(dsn, {"RUNCORD_STREAMS_PER_PROJECT": str(STREAMS)}) as server:
        yield server
    postgres.drop_database(dsn)


@pytest.fixture(scope="module")
def browser(node_modules: Path) -> Iterator[Page]:
    with Page(node_modules) as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Iterator[Page]:
    """A page with nothing on it."""
    yield browser
    browser.clear()


def name(kind: str) -> str:
    return f"{kind}-{uuid4().hex[:8]}"


def public(sdk: Sdk, **options: Any) -> dict[str, str]:
    """Return what a hook is given: where the server is, and a public token with the scopes of `read` or `write`."""
    scopes = {action: options.pop(action) for action in ("read", "write") if action in options}
    token = sdk("auth.createPublicToken", {"scopes": scopes, **options})
    return {"accessToken": token, "baseURL": sdk.base_url}


def write_stream(sdk: Sdk, run_id: str, key: str, values: bytes) -> None:
    """Do what a task's `streams.pipe` does."""
    sdk("api.createStream", run_id, "self", key)
    path = f"{sdk.base_url}/realtime/v1/streams/{run_id}/self/{key}"
    assert httpx2.post(path, headers=sdk.headers, content=values).status_code == 200


@pytest.mark.parametrize("given", ["by the hook", "by the context"])
def test_a_run_is_shown_as_it_changes_until_it_is_over(given: str, page: Page, sdk4: Sdk, worker: Hand) -> None:
    run_id = sdk4("tasks.trigger", name("task"), {"n": 1}, {"tags": ["vip"], "metadata": {"step": 1}})["id"]
    auth = public(sdk4, read={"runs": [run_id]})
    options = {"onComplete": told("complete")}
    if given == "by the hook":
        shown = page.mount("useRealtimeRun", run_id, {**options, **auth})
    else:
        shown = page.mount("useRealtimeRun", run_id, options, auth=auth)
    queued = shown.until(lambda state: state["run"])["run"]
    assert (queued["status"], queued["payload"], queued["tags"]) == ("QUEUED", {"n": 1}, ["vip"])
    claim = worker.take(run_id)
    shown.until(lambda state: state["run"]["status"] == "EXECUTING")
    sdk4("api.updateRunMetadata", run_id, {"metadata": {"step": 2}})
    shown.until(lambda state: state["run"]["metadata"] == {"step": 2})
    worker.client.worker.attempt(run_id, claim.run_token).complete({"sent": 2})
    over = shown.until(lambda state: state["run"].get("finishedAt") and shown.told)
    assert (over["run"]["status"], over["run"]["output"], over["error"]) == ("COMPLETED", {"sent": 2}, None)
    assert shown.told == {"complete": 1}
    asked = [request for request in page.requests() if run_id in request["path"]]
    assert all("status" in request for request in asked), "it has stopped to ask"


def test_the_runs_of_a_tag_come_in(page: Page, sdk4: Sdk, worker: Hand) -> None:
    tag, slug = name("tag"), name("task")
    first, second = (sdk4("tasks.trigger", slug, n, {"tags": [tag, f"n{n}"]})["id"] for n in (1, 2))
    shown = page.mount("useRealtimeRunsWithTag", tag, {"createdAt": "1h", **public(sdk4, read={"tags": [tag]})})
    shown.until(lambda state: [run["id"] for run in state["runs"]] == [first, second])
    sdk4("tasks.trigger", slug, 3, {"tags": ["another"]})
    third = sdk4("tasks.trigger", slug, 3, {"tags": [tag]})["id"]
    worker.complete(second)
    sdk4("runs.cancel", first)
    expected = [(first, "CANCELED"), (second, "COMPLETED"), (third, "QUEUED")]
    shown.until(lambda state: [(run["id"], run["status"]) for run in state["runs"]] == expected)
    both = page.mount("useRealtimeRunsWithTag", [tag, "n2"], public(sdk4, read={"tags": [tag]}))
    both.until(lambda state: [run["id"] for run in state["runs"]] == [second])


def test_the_runs_of_a_batch_are_shown_by_the_token_of_its_handle(page: Page, sdk4: Sdk, worker: Hand) -> None:
    handle = sdk4("tasks.batchTrigger", name("task"), [{"payload": n} for n in range(5)])
    auth = {"accessToken": handle["publicAccessToken"], "baseURL": sdk4.base_url}
    shown = page.mount("useRealtimeBatch", handle["batchId"], auth)
    runs = shown.until(lambda state: len(state["runs"]) == 5)["runs"]
    assert sorted(run["payload"] for run in runs) == list(range(5))
    for run in runs:
        worker.complete(run["id"])
    shown.until(lambda state: {run["status"] for run in state["runs"]} == {"COMPLETED"})


def test_a_task_is_triggered_once_by_a_token_for_it(page: Page, sdk4: Sdk, worker: Hand) -> None:
    slug = name("task")
    auth = {"accessToken": sdk4("auth.createTriggerPublicToken", slug), "baseURL": sdk4.base_url}
    shown = page.mount("useTaskTrigger", slug, auth)
    shown.use("submit", {"at": {"$date": "2026-01-01T00:00:00.000Z"}}, {"tags": ["by:page"], "metadata": {"m": 1}})
    handle = shown.until(lambda state: state["handle"] and not state["isLoading"])["handle"]
    assert handle["publicAccessToken"].startswith("eyJ")
    run = worker.complete(handle["id"]).run
    assert (run.payload, run.tags, run.job_slug) == ({"at": "2026-01-01T00:00:00.000Z"}, {"by:page": ""}, slug)
    shown.use("submit", {})
    refused = shown.until(lambda state: state["error"])["error"]["$error"]
    assert (refused["status"], "used" in refused["message"]) == (422, True)
    other = page.mount("useTaskTrigger", name("other"), auth)
    other.use("submit", {})
    assert other.until(lambda state: state["error"])["error"]["$error"]["status"] == 403


def test_a_run_is_triggered_and_followed_with_its_stream(page: Page, sdk4: Sdk, worker: Hand) -> None:
    slug = name("task")
    auth = {"accessToken": sdk4("auth.createTriggerPublicToken", slug), "baseURL": sdk4.base_url}
    shown = page.mount("useRealtimeTaskTriggerWithStreams", slug, auth)
    shown.use("submit", "hello")
    run_id = shown.until(lambda state: state["run"])["run"]["id"]
    write_stream(sdk4, run_id, "tokens", b'"Hel"\n"lo"\n')
    shown.until(lambda state: state["streams"].get("tokens") == ["Hel", "lo"])
    worker.complete(run_id, "bye")
    over = shown.until(lambda state: state["run"].get("finishedAt"))
    assert (over["run"]["payload"], over["run"]["output"], over["error"]) == ("hello", "bye", None)
    assert over["handle"]["id"] == run_id


def test_a_run_is_triggered_and_followed(page: Page, sdk4: Sdk, worker: Hand) -> None:
    slug = name("task")
    token = sdk4("auth.createTriggerPublicToken", slug, {"multipleUse": True})
    shown = page.mount("useRealtimeTaskTrigger", slug, auth={"accessToken": token, "baseURL": sdk4.base_url})
    shown.use("submit", {"n": 1})
    first = shown.until(lambda state: state["run"])["run"]["id"]
    worker.complete(first, 1)
    shown.until(lambda state: state["run"]["status"] == "COMPLETED")
    shown.use("submit", {"n": 2})
    second = shown.until(lambda state: state["run"] and state["run"]["id"] != first)["run"]["id"]
    worker.fail(second, "no route to host")
    over = shown.until(lambda state: state["run"]["status"] == "FAILED")["run"]
    assert (over["id"], over["error"]["message"]) == (second, "no route to host")


def test_a_stream_is_shown_part_by_part_and_input_is_sent(page: Page, sdk4: Sdk) -> None:
    run_id = sdk4("tasks.trigger", name("task"), {}, {})["id"]
    sdk4("api.appendToStream", run_id, "self", "tokens", "Hel")
    auth = public(sdk4, read={"runs": [run_id]}, write={"inputStreams": [run_id]})
    shown = page.mount("useRealtimeStream", run_id, "tokens", {"onData": told("data"), **auth})
    part = shown.until(lambda state: state["parts"] == ["Hel"] and state["lastEventId"])
    sdk4("api.appendToStream", run_id, "self", "tokens", "lo")
    shown.until(lambda state: state["parts"] == ["Hel", "lo"] and shown.told == {"data": 2})
    later = page.mount("useRealtimeStream", run_id, "tokens", {"lastEventId": part["lastEventId"], **auth})
    later.until(lambda state: state["parts"] == ["lo"])
    sending = page.mount("useInputStreamSend", "approval", run_id, auth)
    assert sending.until(lambda state: state["isReady"])["error"] is None
    sending.use("send", {"yes": True})
    assert sdk4("runs.fetchStream", run_id, "input/approval", collect=1) == [{"yes": True}]


def test_a_run_is_read_and_read_again_while_it_lasts(page: Page, sdk4: Sdk, worker: Hand) -> None:
    run_id = sdk4("tasks.trigger", name("task"), {}, {})["id"]
    auth = public(sdk4, read={"runs": [run_id]})
    shown = page.mount("useRun", run_id, {"refreshInterval": 50, **auth})
    assert shown.until(lambda state: state["run"])["run"]["status"] == "QUEUED"
    worker.complete(run_id, 42)
    over = shown.until(lambda state: state["run"]["status"] == "COMPLETED")
    assert (over["run"]["output"], over["isError"]) == (42, False)


def test_columns_are_left_out_as_the_hook_or_the_token_wishes(page: Page, sdk4: Sdk, worker: Hand) -> None:
    run_id = sdk4("tasks.trigger", name("task"), {"secret": 1}, {})["id"]
    worker.complete(run_id, {"secret": 2})
    wishes = {"skipColumns": ["payload", "metadata"]}
    whole = page.mount("useRealtimeRun", run_id, {**wishes, **public(sdk4, read={"runs": [run_id]})})
    run = whole.until(lambda state: state["run"])["run"]
    assert ("payload" in run, run["output"]) == (False, {"secret": 2})
    hidden = public(sdk4, read={"runs": [run_id]}, realtime={"skipColumns": ["payload", "output"]})
    run = page.mount("useRealtimeRun", run_id, hidden).until(lambda state: state["run"])["run"]
    assert ("payload" in run, "output" in run, run["status"]) == (False, False, "COMPLETED")


def test_what_a_token_does_not_open_is_told_as_an_error(page: Page, sdk4: Sdk) -> None:
    run_id, other = (sdk4("tasks.trigger", name("task"), {}, {})["id"] for _ in range(2))
    expired = public(sdk4, read={"runs": [run_id]}, expirationTime=1)  # in 1970
    for hook, args in (
        ("useRealtimeRun", [run_id]),
        ("useRun", [run_id]),
        ("useRealtimeStream", [run_id, "tokens"]),
        ("useRealtimeBatch", ["batch_any"]),
        ("useRealtimeRunsWithTag", ["any"]),
    ):
        shown = page.mount(hook, *args, expired)
        error = shown.until(lambda state: state["error"])["error"]["$error"]
        assert error["status"] == 401, hook
        if hook != "useRealtimeStream":  # which says nothing but the status
            assert "expired" in error["message"]
    shown = page.mount("useRealtimeRun", other, public(sdk4, read={"runs": [run_id]}))
    assert shown.until(lambda state: state["error"])["error"]["$error"]["status"] == 403


def test_a_token_that_has_expired_is_replaced_by_the_page(page: Page, sdk4: Sdk) -> None:
    run_id = sdk4("tasks.trigger", name("task"), {}, {})["id"]
    write_stream(sdk4, run_id, "tokens", b"1\n")
    expired = public(sdk4, read={"runs": [run_id]}, expirationTime=1)
    fresh = public(sdk4, read={"runs": [run_id]})["accessToken"]
    shown = page.mount("useRealtimeStream", run_id, "tokens", {**expired, "refreshAccessToken": answers(fresh)})
    assert shown.until(lambda state: state["parts"] == [1])["error"] is None


def test_the_server_forgets_what_is_taken_away(page: Page, sdk4: Sdk) -> None:
    run_id = sdk4("tasks.trigger", name("task"), {}, {})["id"]
    auth = public(sdk4, read={"runs": [run_id]})
    path = f"/realtime/v1/runs/{run_id}"
    with httpx2.Client(base_url=sdk4.base_url, headers=sdk4.headers) as http:
        first = http.get(path, params={"offset": "-1"}).headers
        place = {"offset": first["electric-offset"], "handle": first["electric-handle"]}

        def wait_for(status: int) -> None:
            deadline = monotonic() + WAITING_SECS
            while (answer := http.get(path, params=place)).status_code != status:
                assert answer.status_code in {200, 429}, answer.text
                assert monotonic() < deadline, f"the server goes on with {answer.status_code}"

        following = [page.mount("useRealtimeRun", run_id, auth) for _ in range(STREAMS)]
        for one, is_stopped in zip(following, (True, False, True, False), strict=True):
            wait_for(429)
            if is_stopped:
                one.use("stop")
            else:
                one.unmount()
            wait_for(200)
            page.mount("useRealtimeRun", run_id, auth)
        wait_for(429)


def test_a_hidden_page_asks_for_nothing_and_catches_up(page: Page, sdk4: Sdk, worker: Hand) -> None:
    run_id = sdk4("tasks.trigger", name("task"), {}, {})["id"]
    shown = page.mount("useRealtimeRun", run_id, public(sdk4, read={"runs": [run_id]}))
    shown.until(lambda state: state["run"])
    page.hide(True)
    asked = [request for request in page.requests() if run_id in request["path"]]
    assert all("status" in request for request in asked)
    worker.take(run_id)
    page.hide(False)
    shown.until(lambda state: state["run"]["status"] == "EXECUTING")


def test_what_the_hooks_send_and_look_for_is_listed_for_browsers(page: Page, sdk4: Sdk) -> None:
    slug = name("task")
    auth = {"accessToken": sdk4("auth.createTriggerPublicToken", slug), "baseURL": sdk4.base_url}
    shown = page.mount("useRealtimeTaskTriggerWithStreams", slug, {"previewBranch": "main", **auth})
    shown.use("submit", {})
    run_id = shown.until(lambda state: state["run"])["run"]["id"]
    write_stream(sdk4, run_id, "tokens", b"1\n2\n")
    of_run = public(sdk4, read={"runs": [run_id]}, write={"inputStreams": [run_id]})
    options = {"timeoutInSeconds": 60, **of_run}
    part = page.mount("useRealtimeStream", run_id, "tokens", options).until(lambda state: state["lastEventId"])
    page.mount("useRealtimeStream", run_id, "tokens", {**options, "lastEventId": part["lastEventId"]})
    page.mount("useRealtimeStream", run_id, "tokens", {**options, "from": "latest"})
    page.mount("useRun", run_id, of_run).until(lambda state: state["run"])
    sent = {header for request in page.requests() for header in request["headers"]}
    assert {"authorization", "timeout-seconds", "last-event-id", "x-trigger-stream-start", "x-trigger-client"} <= sent
    assert sent <= set(ALLOWED)
    assert page.sought() <= {*EXPOSED, "content-type", "x-session-settled"}
    assert {"electric-offset", "electric-schema", "x-trigger-jwt"} <= page.sought()
