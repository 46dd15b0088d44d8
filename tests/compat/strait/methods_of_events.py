"""`client.event_triggers`: the events that runs wait for."""

import pytest
from strait import ConflictError, NotFoundError

from .table import drives
from .world import Work, World, aiter_of


async def waiting_for(w: World, *keys: str) -> list[Work]:
    """Return a worker for each key, whose run waits for it."""
    waiting = []
    for number, key in enumerate(keys):
        work = await w.working(slug=f"work-{number}")
        await work.say("wait_for_event_run", {"event_key": key, "timeout_secs": 60})
        waiting.append(work)
    return waiting


@drives("event_triggers.list_events")
async def waits_are_listed(w: World) -> None:
    one, two = await waiting_for(w, "order/1", "order/2")
    found = await w.call("event_triggers.list_events")
    rows = found["data"] if isinstance(found, dict) else found
    assert {(row["event_key"], row["job_run_id"], row["status"]) for row in rows} == {
        ("order/1", one.run_id, "waiting"),
        ("order/2", two.run_id, "waiting"),
    }


@drives("event_triggers.get_event")
async def a_wait_is_found_by_its_key(w: World) -> None:
    (work,) = await waiting_for(w, "order/1")
    found = await w.call("event_triggers.get_event", "order/1")
    assert (found["event_key"], found["job_run_id"], found["status"]) == ("order/1", work.run_id, "waiting")
    with pytest.raises(NotFoundError):
        await w.call("event_triggers.get_event", "order/2")


@drives("event_triggers.delete_event")
async def a_wait_can_be_called_off(w: World) -> None:
    (work,) = await waiting_for(w, "order/1")
    assert (await w.call("event_triggers.delete_event", "order/1"))["status"] == "canceled"
    assert (await w.call("runs.get", work.run_id))["status"] != "waiting"


@drives("event_triggers.send_event")
async def an_event_queues_the_run_and_may_be_sent_again(w: World) -> None:
    (work,) = await waiting_for(w, "order/1")
    for _ in range(2):
        sent = await w.call("event_triggers.send_event", "order/1", {"payload": {"paid": True}})
        assert (sent["status"], sent["job_run_id"], sent["response_payload"]) == (
            "received",
            work.run_id,
            {"paid": True},
        )
    assert (await w.call("runs.get", work.run_id))["status"] == "queued"
    with pytest.raises(ConflictError):
        await w.call("event_triggers.send_event", "order/1", {"payload": {"paid": False}})
    with pytest.raises(NotFoundError):
        await w.call("event_triggers.send_event", "order/2", {})


@drives("event_triggers.get_stream")
async def a_wait_can_be_followed_to_its_end(w: World) -> None:
    await waiting_for(w, "order-1")
    await w.call("event_triggers.send_event", "order-1", {"payload": 1})
    w.driven.add("event_triggers.get_stream")
    stream = aiter_of(w.client().event_triggers.get_stream("order-1"))
    frames = [frame async for frame in stream]
    assert frames[-1]["status"] == "received"


@drives("event_triggers.send_prefix")
async def an_event_reaches_all_keys_of_a_prefix(w: World) -> None:
    await waiting_for(w, "order/1", "order/2", "other")
    found = await w.call("event_triggers.send_prefix", "order/", {"payload": 1})
    assert found["resolved"] == 2
    assert {trigger["event_key"] for trigger in found["triggers"]} == {"order/1", "order/2"}
    assert (await w.call("event_triggers.get_event", "other"))["status"] == "waiting"


@drives("event_triggers.purge_event")
async def purging_counts_what_it_would_remove(w: World) -> None:
    await waiting_for(w, "order/1")
    await w.call("event_triggers.send_event", "order/1", {})
    found = await w.call("event_triggers.purge_event", {"dry_run": True, "older_than_days": 1})
    assert found["dry_run"] is True


@drives("event_triggers.get_stat")
async def events_are_counted_by_status(w: World) -> None:
    await waiting_for(w, "order/1", "order/2")
    await w.call("event_triggers.send_event", "order/1", {})
    found = await w.call("event_triggers.get_stat")
    assert (found["total_count"], found["waiting_count"], found["received_count"]) == (2, 1, 1)
