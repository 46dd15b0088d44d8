"""Subscriptions by the real SDKs through faults: the state in which a run rests is always seen, and none twice."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from tests.compat.trigger.conftest import MAJORS, Hand
from tests.compat.trigger.sdk import Sdk, time_of
from tests.faults.proxy import proxied_beside

from runcord.client import Client
from runcord.clock import monotonic
from runcord.handling.runs import CommandRun
from runcord.run.commands import ChangeMetadata
from runcord.run.metadata import MetadataOperation
from runcord.testing.project import CONTEXT, open_project
from runcord.testing.server import API_KEY, PROJECT, ServerProcess

Write = Callable[[], None]
Fault = Callable[[Write], None]
LIFETIME_SECS = 1.0
"""How long the proxy lets a connection be: shorter than a poll is held."""
FINAL = ["COMPLETED", "FAILED", "CANCELED"]


@pytest.mark.parametrize("major", MAJORS)
def test_a_proxy_that_cuts_and_closes_connections_is_not_noticed(
    major: str, node_modules: Path, server: ServerProcess, worker: Hand
) -> None:
    with (
        proxied_beside(server, LIFETIME_SECS) as (proxy, cut),
        Sdk(major, node_modules, proxy.base_url, API_KEY) as sdk,
    ):

        def write(run_id: str, number: int) -> None:
            path = f"{server.base_url}/api/v1/runs/{run_id}/metadata"
            assert httpx2.put(path, headers=server.headers, json=metadata(number)).status_code == 200

        def before(write: Write) -> None:
            cut()
            write()

        def after(write: Write) -> None:
            write()
            cut()

        def by_itself(write: Write) -> None:
            ended = proxy.expired
            deadline = monotonic() + 30
            while proxy.expired == ended:
                assert monotonic() < deadline
            write()

        follow_through(sdk, worker, write, [before, after, by_itself])
        assert proxy.cuts > 0


@pytest.mark.faults
@pytest.mark.parametrize("major", MAJORS)
def test_a_server_that_is_stopped_or_killed_is_not_noticed(major: str, node_modules: Path, dsn: str) -> None:
    with (
        ServerProcess(dsn) as server,
        Client(server.base_url, API_KEY) as client,
        Sdk(major, node_modules, server.base_url, API_KEY) as sdk,
    ):

        def write(run_id: str, number: int) -> None:
            """Write beside the server, which may be down."""

            async def inside() -> None:
                change = ChangeMetadata((MetadataOperation("set", "round", number),))
                async with open_project(dsn, PROJECT) as project:
                    await project.execute(CommandRun(CONTEXT, run_id, change))

            asyncio.run(inside())

        def before(end: Callable[[], Any]) -> Fault:
            def fault(write: Write) -> None:
                write()
                end()
                server.start()

            return fault

        def meanwhile(end: Callable[[], Any]) -> Fault:
            def fault(write: Write) -> None:
                end()
                write()
                server.start()

            return fault

        follow_through(sdk, Hand(client), write, [meanwhile(server.stop), before(server.kill), meanwhile(server.kill)])


def metadata(number: int) -> dict[str, Any]:
    return {"metadata": {"round": number}}


def follow_through(sdk: Sdk, worker: Hand, write: Callable[[str, int], None], faults: Sequence[Fault]) -> None:
    """Follow a run and its tag while it is written to in each fault, to its end."""
    tag = f"tag-{uuid4().hex[:8]}"
    run_id = sdk("tasks.trigger", tag, {}, {"tags": [tag], **metadata(0)})["id"]
    ends_by_itself = sdk.is_new
    following = (
        sdk.follow("runs.subscribeToRun", run_id, until=() if ends_by_itself else FINAL),
        sdk.follow("runs.subscribeToRunsWithTag", tag, until=FINAL),
    )
    for one in following:
        one.until(lambda run: run["metadata"] == {"round": 0})
    claim = worker.take(run_id)
    for number, fault in enumerate(faults, 1):
        fault(lambda number=number: write(run_id, number))
        for one in following:
            one.until(lambda run, number=number: run["metadata"] == {"round": number})
    worker.client.worker.attempt(run_id, claim.run_token).complete({"done": True})
    for one in following:
        seen = one.all()
        rounds = [run["metadata"]["round"] for run in seen]
        assert rounds == sorted(rounds) and {*rounds} == {*range(len(faults) + 1)}, "every round, in order"
        assert [run["status"] for run in seen].count("COMPLETED") == 1, "and then the end"
        assert (seen[-1]["status"], seen[-1]["output"]) == ("COMPLETED", {"done": True})
        assert all(time_of(a["updatedAt"]) < time_of(b["updatedAt"]) for a, b in pairwise(seen)), "none came twice"
