"""Subscriptions with public tokens: what their scopes are about, without what they may not see, and past their time."""

import asyncio
from typing import Any

import jwt

from runcord.clock import unix_now
from runcord.testing.server import API_KEY, ServerProcess

from .conftest import Caller, calling
from .test_subscriptions import tagged

Servers = tuple[ServerProcess, ServerProcess]


async def token(caller: Caller, *scopes: str, lives_secs: float = 600, hides: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the header with a token that a client has signed with its key."""
    claims = await caller.done("POST", "/api/v1/auth/jwt/claims")
    more: dict[str, Any] = {"realtime": {"skipColumns": list(hides)}} if hides else {}
    said = {
        **claims,
        **more,
        "scopes": list(scopes),
        "iss": "https://id.trigger.dev",
        "aud": "https://api.trigger.dev",
        "exp": unix_now() + lives_secs,
    }
    return {"Authorization": f"Bearer {jwt.encode(said, API_KEY, algorithm='HS256')}"}  # pyright: ignore[reportUnknownMemberType]


def test_a_token_opens_what_its_scopes_are_about(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await tagged(one, "token:1")
            batch = "batch_nowhere"
            run, job = work.run_id, (await one.done("GET", f"/v1/runs/{work.run_id}"))["job_slug"]
            await work.say("complete", {})
            cases: list[tuple[str, str, bool]] = [
                (f"/v1/runs/{run}/subscribe", f"read:runs:{run}", True),
                (f"/v1/runs/{run}/subscribe", "read:tags:token:1", True),
                (f"/v1/runs/{run}/subscribe", f"read:tasks:{job}", True),
                (f"/v1/runs/{run}/subscribe", "read:runs:run_other", False),
                (f"/v1/runs/{run}/subscribe", f"write:runs:{run}", False),
                (f"/realtime/v1/runs/{run}?offset=-1", f"read:runs:{run}", True),
                (f"/realtime/v1/runs/{run}?offset=-1", "read:tags:token:1", True),
                (f"/realtime/v1/runs/{run}?offset=-1", "read:tags:token:2", False),
                ("/realtime/v1/runs?offset=-1&tags=token:1", "read:tags:token:1", True),
                ("/realtime/v1/runs?offset=-1&tags=token:1,more", "read:tags:token:1", True),
                ("/realtime/v1/runs?offset=-1&tags=token:1", "read:tags:token:2", False),
                ("/realtime/v1/runs?offset=-1&tags=token:1", f"read:runs:{run}", False),
                (f"/realtime/v1/batches/{batch}?offset=0_0", f"read:batch:{batch}", True),
                (f"/realtime/v1/batches/{batch}?offset=0_0", "read:batch:batch_other", False),
                ("/v1/subscribe?tag=token:1&job=x", "read:tags:token:2", False),
                ("/v1/subscribe", "read:tags:token:1", False),
            ]
            for path, scope, opens in cases:
                answer = await one.http.get(path, headers=await token(one, scope))
                assert (answer.status_code not in {401, 403}) is opens, (path, scope, answer.text)
            async with one.stream("/v1/subscribe?tag=token:1", **await token(one, "read:tags:token:1")) as stream:
                await stream.until(1)
            assert stream.frames[0][1]["id"] == run

    asyncio.run(test())


def test_a_token_sees_nothing_of_what_it_hides(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await tagged(one, "hidden:1")
            await work.say("complete", {"result": {"secret": 1}})
            hiding = await token(one, "read:runs", hides=("payload", "output"))
            for path in (f"/v1/runs/{work.run_id}/subscribe", "/v1/subscribe?tag=hidden:1"):
                async with one.stream(path, **hiding) as blind, one.stream(path) as seeing:
                    await blind.until(1)
                    await seeing.until(1)
                assert {"payload", "result"} & blind.frames[0][1].keys() == set()
                assert {"payload", "result"} <= seeing.frames[0][1].keys()
            answer = await one.http.get(f"/realtime/v1/runs/{work.run_id}?offset=-1&skipColumns=error", headers=hiding)
            row = answer.json()[0]["value"]
            assert "payload" not in row and "output" not in row and "error" in row

    asyncio.run(test())


def test_a_token_that_expires_goes_on_with_what_it_had_begun_and_begins_nothing(servers: Servers) -> None:
    async def test() -> None:
        async with calling(servers[0]) as (one,):
            work = await tagged(one, "expiring:1")
            scope = f"read:runs:{work.run_id}"
            path = f"/realtime/v1/runs/{work.run_id}"
            begun = await one.http.get(f"{path}?offset=-1", headers=await token(one, scope))
            expired = await token(one, scope, lives_secs=-10)
            place = {"offset": begun.headers["electric-offset"], "handle": begun.headers["electric-handle"]}
            polling = asyncio.create_task(one.http.get(path, params={**place, "live": "true"}, headers=expired))
            await work.say("complete", {})
            answer = await polling
            assert answer.status_code == 200 and answer.json()[0]["value"]["status"] == "COMPLETED_SUCCESSFULLY"
            again = await one.http.get(f"{path}?offset=-1", headers=expired)
            assert again.status_code == 401 and "expired" in again.json()["error"]
            long_ago = await token(one, scope, lives_secs=-25 * 3600)
            assert (await one.http.get(path, params=place, headers=long_ago)).status_code == 401

    asyncio.run(test())
