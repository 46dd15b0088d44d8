"""Refusals reach Strait's users as the class they catch, with the server's own words."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from strait import ApiError, ConflictError, NotFoundError, RateLimitedError, UnauthorizedError

from .conftest import RunScenario
from .world import FORMS, Form, World

Cause = Callable[[World], Awaitable[Any]]


async def malformed(w: World) -> None:
    await w.call("jobs.create", {"name": "no slug"})


async def unknown_run(w: World) -> None:
    await w.call("runs.get", "run_of_nobody")


async def other_project(w: World) -> None:
    await w.call("runs.list", query={"project_id": "proj_of_others"})


async def wrong_key(w: World) -> None:
    await w.call("runs.list", token="strait_" + "0" * 64)


async def token_of_another_run(w: World) -> None:
    work = await w.working()
    await w.call("sdk_runs.get_payload", (await w.new_run())["id"], token=work.token)


async def taken_slug(w: World) -> None:
    await w.new_job("one")
    await w.new_job("one")


async def stale_attempt(w: World) -> None:
    work = await w.working(retry_strategy="fixed", retry_initial_delay_secs=0)
    await work.say("fail_run", {"error": "first"})
    await w.take(work.run_id, start=True)
    await work.say("complete_run", {"result": "late"})


async def ended_run(w: World) -> None:
    await w.new_job()
    run = await w.new_run()
    await w.call("runs.delete", run["id"])
    await w.call("runs.delete", run["id"])


async def payload_against_the_schema(w: World) -> None:
    await w.new_job(payload_schema={"type": "object", "required": ["n"]})
    await w.new_run(payload={})


async def same_key_other_payload(w: World) -> None:
    await w.new_job()
    await w.new_run(idempotency_key="once", payload=1)
    await w.new_run(idempotency_key="once", payload=2)


async def too_many(w: World) -> None:
    await w.new_job(rate_limit_max=1, rate_limit_window_secs=3600)
    for _ in range(2):
        await w.new_run()


CASES: dict[str, tuple[Cause, type[Exception], int, str]] = {
    # what somebody does: how, what is raised, the HTTP status, what the error says
    "a member is missing": (malformed, ApiError, 400, "slug: is required"),
    "there is no such run": (unknown_run, NotFoundError, 404, "run_of_nobody"),
    "it is another project's": (other_project, NotFoundError, 404, "project"),
    "the key is not known": (wrong_key, UnauthorizedError, 401, "key"),
    "the token is another run's": (token_of_another_run, UnauthorizedError, 403, "another run"),
    "the slug is taken": (taken_slug, ConflictError, 409, "slug"),
    "the attempt is over": (stale_attempt, ConflictError, 409, "attempt 1"),
    "the run has ended": (ended_run, ApiError, 400, "canceled"),
    "the payload does not fit": (payload_against_the_schema, ApiError, 400, "n"),
    "the job's rate limit is reached": (too_many, RateLimitedError, 429, "in 3600 seconds"),
    "the key stands for another request": (same_key_other_payload, ApiError, 422, "idempotency"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_an_error_has_its_class_and_the_server_s_words(play: RunScenario, case: str, form: Form):
    cause, expected, status, words = CASES[case]

    async def scenario(w: World) -> None:
        with pytest.raises(expected) as raised:
            await cause(w)
        error: Any = raised.value
        assert type(error) is expected and error.status == status
        assert str(error) == error.body["message"] == error.body["error"]
        assert words in str(error)

    play(form, scenario)
