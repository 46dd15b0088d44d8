"""`client.jobs`: jobs, their versions and dependencies, and triggering."""

import pytest
from strait import ConflictError, NotFoundError

from .table import drives
from .world import World


@drives("jobs.list")
async def jobs_come_newest_first(w: World) -> None:
    made = [await w.new_job(slug) for slug in ("one", "two")]
    assert await w.call("jobs.list") == made[::-1]
    assert await w.call("jobs.list", query={"project_id": w.project_id, "limit": "1"}) == made[1:]


@drives("jobs.create")
async def create_takes_what_the_authoring_kit_sends(w: World) -> None:
    settings = {
        "description": "Parses",
        "tags": {"team": "core"},
        "endpoint_url": "https://example.com/hook",
        "fallback_endpoint_url": "https://example.com/other",
        "max_attempts": 5,
        "timeout_secs": 60,
        "max_concurrency": 2,
        "run_ttl_secs": 3600,
        "retry_strategy": "custom",
        "retry_delays_secs": [1, 5],
        "webhook_url": "https://example.com/webhook",
    }
    job = await w.new_job("parse", **settings, webhook_secret="s3cret-of-the-hook")
    assert {name: job[name] for name in settings} == settings
    assert job["version"] == 1 and job["enabled"] is True
    assert "s3cret" not in str(job)


@drives("jobs.get")
async def a_job_is_found_by_id_and_by_slug(w: World) -> None:
    job = await w.new_job("parse")
    assert await w.call("jobs.get", job["id"]) == job
    assert await w.call("jobs.get", "parse") == job


@drives("jobs.update")
async def every_update_is_a_version(w: World) -> None:
    job = await w.new_job()
    changed = await w.call("jobs.update", job["id"], {"timeout_secs": 20})
    assert (changed["timeout_secs"], changed["version"], changed["slug"]) == (20, 2, job["slug"])
    assert changed["version_id"] != job["version_id"]


@drives("jobs.delete")
async def a_job_with_active_runs_cannot_be_deleted(w: World) -> None:
    job = await w.new_job()
    run = await w.new_run()
    with pytest.raises(ConflictError):
        await w.call("jobs.delete", job["id"])
    await w.call("runs.delete", run["id"])
    assert await w.call("jobs.delete", job["id"]) == {}
    with pytest.raises(NotFoundError):
        await w.call("jobs.get", job["id"])


@drives("jobs.clone")
async def a_clone_has_the_settings_under_another_name(w: World) -> None:
    job = await w.new_job("one", max_attempts=7, tags={"team": "core"})
    clone = await w.call("jobs.clone", job["id"], {"name": "Two", "slug": "two"})
    assert (clone["name"], clone["slug"], clone["version"]) == ("Two", "two", 1)
    assert (clone["max_attempts"], clone["tags"]) == (7, {"team": "core"})
    assert clone["id"] != job["id"]


@drives("jobs.get_health")
async def health_counts_the_runs(w: World) -> None:
    work = await w.working()
    await work.say("complete_run", {})
    job_id = (await w.call("runs.get", work.run_id))["job_id"]
    health = await w.call("jobs.get_health", job_id)
    assert (health["job_id"], health["total_runs"], health["completed_runs"]) == (job_id, 1, 1)
    assert health["failed_runs"] == 0


@drives("jobs.trigger")
async def trigger_answers_the_run_with_its_token(w: World) -> None:
    job = await w.new_job(payload_schema={"type": "object", "required": ["n"]})
    body = {"payload": {"n": 1}, "idempotency_key": "once", "metadata": {"by": "me"}, "priority": 2}
    run = await w.call("jobs.trigger", job["id"], body)
    assert (run["status"], run["idempotency_hit"], run["metadata"]) == ("queued", False, {"by": "me"})
    assert len(run["payload_hash"]) == 64
    assert await w.call("sdk_runs.get_payload", run["id"], token=run["run_token"]) == {"n": 1}
    again = await w.call("jobs.trigger", job["id"], body)
    assert (again["id"], again["idempotency_hit"]) == (run["id"], True)
    rehearsed = await w.call("jobs.trigger", job["id"], {"payload": {}, "dry_run": True})
    assert rehearsed["payload_hash"] != run["payload_hash"] and "id" not in rehearsed
    assert len(await w.call("runs.list")) == 1


@drives("jobs.bulk_trigger")
async def bulk_trigger_answers_for_each_item(w: World) -> None:
    job = await w.new_job()
    items = [{"payload": n, "idempotency_key": f"item-{n}"} for n in range(3)]
    batch = await w.call("jobs.bulk_trigger", job["id"], {"items": items})
    assert (batch["total"], batch["created"]) == (3, 3)
    runs = [await w.call("runs.get", result["id"]) for result in batch["results"]]
    assert [(run["payload"], run["batch_id"]) for run in runs] == [(n, batch["batch_id"]) for n in range(3)]
    again = await w.call("jobs.bulk_trigger", job["id"], {"items": items})
    assert (again["total"], again["created"]) == (3, 0)
    assert {result["idempotency_hit"] for result in again["results"]} == {True}


@drives("jobs.list_versions")
async def versions_come_newest_first(w: World) -> None:
    job = await w.new_job()
    await w.call("jobs.update", job["id"], {"timeout_secs": 20})
    versions = await w.call("jobs.list_versions", job["id"])
    assert [(row["version"], row["timeout_secs"]) for row in versions] == [(2, 20), (1, 300)]
    assert [row["version"] for row in await w.call("jobs.list_versions", job["id"], query={"limit": "1"})] == [2]


@drives("jobs.get_version")
async def a_version_is_found_by_its_id(w: World) -> None:
    job = await w.new_job()
    await w.call("jobs.update", job["id"], {"timeout_secs": 20})
    version = await w.call("jobs.get_version", job["id"], job["version_id"])
    assert (version["version"], version["timeout_secs"], version["version_id"]) == (1, 300, job["version_id"])


@drives("jobs.create_dependency")
async def a_run_waits_for_what_its_job_depends_on(w: World) -> None:
    upstream, downstream = await w.new_job("upstream"), await w.new_job("downstream")
    body = {"depends_on_job_id": upstream["id"], "condition": "completed"}
    edge = await w.call("jobs.create_dependency", downstream["id"], body)
    assert (edge["job_id"], edge["depends_on_job_id"], edge["condition"]) == (
        downstream["id"],
        upstream["id"],
        "completed",
    )
    blocked = await w.new_run("downstream")
    assert (await w.call("runs.get", blocked["id"]))["status"] == "waiting"
    first = await w.new_run("upstream")
    claim = await w.take(first["id"], start=True)
    await w.call("sdk_runs.complete_run", first["id"], {}, token=claim["run_token"])
    assert (await w.take(blocked["id"]))["run"]["id"] == blocked["id"]


@drives("jobs.list_dependencies")
async def dependencies_are_listed(w: World) -> None:
    upstream, downstream = await w.new_job("upstream"), await w.new_job("downstream")
    edge = await w.call("jobs.create_dependency", downstream["id"], {"depends_on_job_id": upstream["id"]})
    assert await w.call("jobs.list_dependencies", downstream["id"]) == [edge]
    assert await w.call("jobs.list_dependencies", upstream["id"]) == []


@drives("jobs.delete_dependency")
async def a_dependency_can_be_removed(w: World) -> None:
    upstream, downstream = await w.new_job("upstream"), await w.new_job("downstream")
    edge = await w.call("jobs.create_dependency", downstream["id"], {"depends_on_job_id": upstream["id"]})
    assert await w.call("jobs.delete_dependency", downstream["id"], edge["id"]) == {}
    assert await w.call("jobs.list_dependencies", downstream["id"]) == []


@drives("jobs.batch")
async def a_batch_makes_the_good_ones_and_names_the_bad(w: World) -> None:
    await w.new_job("taken")
    jobs = [{"project_id": w.project_id, "name": slug, "slug": slug} for slug in ("one", "taken", "two")]
    answer = await w.call("jobs.batch", {"jobs": jobs})
    assert [job["slug"] for job in answer["created"]] == ["one", "two"]
    (error,) = answer["errors"]
    assert error["index"] == 1 and error["message"]


@drives("jobs.batch_disable")
async def jobs_can_be_disabled_at_once(w: World) -> None:
    ids = [(await w.new_job(slug))["id"] for slug in ("one", "two")]
    assert (await w.call("jobs.batch_disable", {"ids": ids}))["updated"] == 2
    assert [(await w.call("jobs.get", job_id))["enabled"] for job_id in ids] == [False, False]


@drives("jobs.batch_enable")
async def jobs_can_be_enabled_at_once(w: World) -> None:
    ids = [(await w.new_job(slug, enabled=False))["id"] for slug in ("one", "two")]
    assert (await w.call("jobs.batch_enable", {"ids": ids}))["updated"] == 2
    assert [(await w.call("jobs.get", job_id))["enabled"] for job_id in ids] == [True, True]
