"""The client's calls about keys, events and batches, as a real server answers them."""

from collections.abc import Iterator

import pytest

from runcord.client import AuthenticationError, Client, ConflictError, NotFoundError, PermissionDeniedError
from runcord.testing.server import API_KEY, ServerProcess


@pytest.fixture
def server(dsn: str) -> Iterator[ServerProcess]:
    with ServerProcess(dsn) as server:
        yield server


@pytest.fixture
def admin(server: ServerProcess) -> Iterator[Client]:
    with Client(server.base_url, API_KEY) as client:
        client.jobs.create("parse")
        yield client


def test_keys_are_made_rotated_and_revoked(admin: Client, server: ServerProcess) -> None:
    made = admin.keys.create("ci", scopes=["runs:read"], rotation_interval_days=30)
    assert made.next_rotation_at is not None and made.key not in repr(made)
    rotated = admin.keys.rotate(made.id, grace_period_minutes=0)
    with Client(server.base_url, rotated.key) as successor:
        assert successor.runs.list().collect() == []
        with pytest.raises(PermissionDeniedError):
            successor.keys.list().first()
    with Client(server.base_url, made.key) as ended, pytest.raises(AuthenticationError):
        ended.runs.list().first()
    with pytest.raises(ConflictError):
        admin.keys.rotate(made.id)
    admin.keys.revoke(rotated.new_key_id)
    keys = {key.id: key for key in admin.keys.list(page_size=1)}
    assert keys[made.id].replaced_by_key_id == rotated.new_key_id
    assert keys[rotated.new_key_id].revoked_at == admin.keys.get(rotated.new_key_id).revoked_at is not None


def test_tokens_are_made_and_open_what_they_say(admin: Client, server: ServerProcess) -> None:
    run, other = admin.jobs.trigger("parse", {"n": 1}), admin.jobs.trigger("parse")
    made = admin.tokens.create([f"read:runs:{run.id}"], expires_in_secs=60, skip_columns=["payload"])
    assert made.token not in repr(made)
    with Client(server.base_url, made.token) as page:
        assert (page.runs.get(run.id).status, page.runs.get(run.id).payload) == ("queued", None)
        with pytest.raises(PermissionDeniedError):
            page.runs.get(other.id)
    key = admin.keys.create("app", form="trigger-sk", environment="dev")
    assert key.key.startswith("tr_dev_sk_") and (key.form, key.environment) == ("trigger-sk", "dev")


def test_waits_are_seen_served_and_called_off(admin: Client) -> None:
    for key in ("order/1", "order/2", "other"):
        run = admin.jobs.trigger("parse")
        (claim,) = admin.worker.dequeue("w", run_id=run.id, start=True)
        admin.worker.attempt(run.id, claim.run_token).wait_for_event(key)
    assert admin.events.send_to_prefix("order/", {"paid": True}).resolved == 2
    assert admin.events.get("order/1").response_payload == {"paid": True}
    called_off = admin.events.cancel("other")
    assert admin.runs.get(called_off.job_run_id).status == "canceled"
    with pytest.raises(ConflictError):
        admin.events.cancel("other")
    assert [wait.event_key for wait in admin.events.list(page_size=1)] == ["other", "order/2", "order/1"]
    assert [wait.event_key for wait in admin.events.list(status="canceled")] == ["other"]
    assert [wait.status for wait in admin.events.stream("order/1")] == ["waiting", "received"]
    stats = admin.events.stats()
    assert (stats.total_count, stats.waiting_count, stats.received_count, stats.canceled_count) == (3, 0, 2, 1)
    assert admin.events.purge(1, dry_run=True).would_delete == 0
    assert admin.events.purge(1).deleted == 0


def test_batches_are_listed(admin: Client) -> None:
    made = [admin.jobs.trigger_many("parse", [{"payload": n} for n in range(size)]) for size in (1, 2, 3)]
    batches = admin.batches.list(page_size=2).collect()
    assert [(batch.id, batch.created_count) for batch in batches] == [
        (batch.batch_id, batch.created) for batch in reversed(made)
    ]
    assert admin.batches.get(made[1].batch_id) == batches[1]
    with pytest.raises(NotFoundError):
        admin.batches.get("batch_none")
