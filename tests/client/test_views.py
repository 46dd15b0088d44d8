"""The client's calls about tags, families, dead letters and statistics, as a real server answers them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from runcord.client import Client, NotFoundError, ValidationError
from runcord.testing.server import API_KEY, ServerProcess


@pytest.fixture
def client(dsn: str) -> Iterator[Client]:
    """A client of a server with a job `fetch`, a dead letter of it, a replay of that, and a run that is queued."""
    with ServerProcess(dsn) as server, Client(server.base_url, API_KEY) as client:
        client.jobs.create("fetch", max_attempts=1)
        run = client.jobs.trigger("fetch", tags={"env": "prod"})
        [claim] = client.worker.dequeue("w", run_id=run.id, start=True)
        client.worker.attempt(run.id, claim.run_token).fail("no route")
        client.runs.replay(run.id)
        yield client


def test_tags(client: Client) -> None:
    [tag] = client.tags.list(key="env", prefix="p")
    assert (tag.key, tag.value, tag.total, tag.by_status) == ("env", "prod", 2, {"queued": 1, "dead_letter": 1})
    assert client.tags.list(key="env", value="test").collect() == []
    assert client.tags.list(position=1).collect() == []
    with pytest.raises(ValidationError):
        client.tags.list(prefix="p").collect()


def test_dead_letters_and_their_groups(client: Client) -> None:
    [letter] = client.dead_letters.list()
    assert (letter.last_error.message, letter.attempts, letter.left_position) == ("no route", 1, None)
    [group] = client.dead_letters.groups(job_id=letter.job_id)
    assert (group.count, group.run_ids, group.message) == (1, [letter.run_id], "no route")
    assert client.dead_letters.list(fingerprint=group.fingerprint).collect() == [letter]
    assert client.dead_letters.list(at=letter.dead_at - timedelta(seconds=60)).collect() == []
    client.runs.dlq_replay(letter.run_id)
    assert client.dead_letters.list().collect() == []
    [left] = client.dead_letters.list(state="left")
    assert left.left_position is not None
    assert client.dead_letters.groups(position=letter.position).collect()[0].count == 1


def test_families_and_chains(client: Client) -> None:
    replay, dead = client.runs.list()
    family = client.runs.family(replay.id)
    assert {node.run_id: node.depth for node in family.nodes} == {dead.id: -1, replay.id: 0}
    assert [(edge.since, edge.to, edge.kind) for edge in family.edges] == [(dead.id, replay.id, "replay")]
    part = client.runs.family(dead.id, direction="descendants", kinds=["child", "restart"], depth=3)
    assert [node.run_id for node in part.nodes] == [dead.id]
    with pytest.raises(NotFoundError):
        client.runs.family(replay.id, position=family.edges[0].position - 1)
    assert [run.id for run in client.runs.lineage(dead.id)] == [dead.id]
    born = client.runs.history(dead.id).first().items[0].position
    assert [run.status for run in client.runs.lineage(dead.id, position=born)] == ["queued"]


def test_statistics(client: Client) -> None:
    found = client.jobs.statistics("fetch", by_hour=True)
    assert (found.total.triggered, found.total.failed, found.total.success_rate) == (2, 1, 0.0)
    assert sum(hour.triggered for hour in found.hours) == 2
    assert found.until - found.since == timedelta(hours=24)
    [same] = client.jobs.all_statistics(since=found.since, until=found.until)
    assert (same.job_slug, same.total, same.hours) == ("fetch", found.total, ())
    assert client.jobs.all_statistics(until=found.since).collect() == []
    with pytest.raises(ValidationError):
        client.jobs.statistics("fetch", since=found.since + timedelta(minutes=1))
