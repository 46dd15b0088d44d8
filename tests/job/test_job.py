"""What a job is, and what each of its versions says."""

import pytest

from runcord.errors import Conflict, Invalid, JobNotFound
from runcord.job import commands as c
from runcord.job import events as e
from runcord.job.state import JobSettings
from runcord.run.retry import RetryPolicy
from runcord.testing.scenario import JOB_ID, START, given, moment

SETTINGS = {"name": "Send mail", "slug": "send-mail"}
CREATED = e.JobCreated("jv_1", SETTINGS, "key_1")


def test_a_job_is_created_with_defaults_for_what_was_not_given():
    job = given().when(c.CreateJob("jv_1", SETTINGS, "key_1")).then(CREATED).job
    assert job.settings == JobSettings(name="Send mail", slug="send-mail")
    assert (job.job_id, job.version, job.version_id, job.created_by) == (JOB_ID, 1, "jv_1", "key_1")
    assert (job.created_at, job.updated_at, job.deleted) == (START, START, False)


@pytest.mark.parametrize("settings", [{}, {"name": "x"}, {"slug": "x"}, {"name": "", "slug": "x"}])
def test_a_job_needs_a_name_and_a_slug(settings: dict[str, str]):
    given().when(c.CreateJob("jv_1", settings)).then_refused(Invalid, contains="name and a slug")


def test_a_job_cannot_be_created_twice_not_even_after_it_was_deleted():
    given(CREATED).when(c.CreateJob("jv_2", SETTINGS)).then_refused(Conflict)
    given(CREATED, e.JobDeleted()).when(c.CreateJob("jv_2", SETTINGS)).then_refused(Conflict)


def test_each_update_is_a_version_and_changes_only_what_it_names():
    updated = given(CREATED).when(c.UpdateJob("jv_2", {"max_attempts": 9}), at=60)
    job = updated.then(e.JobUpdated("jv_2", {"max_attempts": 9})).job
    assert (job.version, job.version_id, job.updated_at, job.created_at) == (2, "jv_2", moment(60), START)
    assert job.settings == JobSettings(name="Send mail", slug="send-mail", max_attempts=9)


@pytest.mark.parametrize("command", [c.UpdateJob("jv_2", {}), c.DeleteJob()])
def test_a_job_that_is_not_there_can_be_neither_updated_nor_deleted(command: c.Command):
    given().when(command).then_refused(JobNotFound, code="job_not_found")
    given(CREATED, e.JobDeleted()).when(command).then_refused(JobNotFound)


def test_a_deleted_job_keeps_its_settings_for_its_runs_that_stay():
    job = given(CREATED).when(c.DeleteJob(), at=60).then(e.JobDeleted()).job
    assert (job.deleted, job.version, job.settings.slug, job.updated_at) == (True, 2, "send-mail", moment(60))


def test_an_update_breaks_compatibility_unless_it_says_that_it_does_not():
    compatible = given(CREATED, e.JobUpdated("jv_2", {"backwards_compatible": True})).job
    assert (compatible.version, compatible.last_breaking_version) == (2, 1)
    assert given(CREATED, e.JobUpdated("jv_2", {"timeout_secs": 5})).job.last_breaking_version == 2


def test_compatibility_is_said_of_one_version_and_not_of_those_after_it():
    job = given(CREATED, e.JobUpdated("jv_2", {"backwards_compatible": True}), e.JobUpdated("jv_3", {})).job
    assert (job.settings.backwards_compatible, job.last_breaking_version) == (False, 3)


def test_the_retry_policy_of_its_runs_is_made_from_its_settings():
    settings = {
        **SETTINGS,
        "max_attempts": 7,
        "timeout_secs": 30,
        "retry_strategy": "custom",
        "retry_initial_delay_secs": 2,
        "retry_max_delay_secs": 60,
        "retry_delays_secs": [1, 5],
    }
    job = given(e.JobCreated("jv_1", settings)).job
    assert job.settings.retry_policy == RetryPolicy(7, 30, "custom", 2, 60, (1, 5))


def test_a_job_says_by_default_what_a_run_says_by_default():
    assert JobSettings(name="x", slug="x").retry_policy == RetryPolicy()


def test_delays_that_are_taken_away_are_none():
    job = given(
        CREATED, e.JobUpdated("jv_2", {"retry_delays_secs": [1]}), e.JobUpdated("jv_3", {"retry_delays_secs": None})
    )
    assert job.job.settings.retry_delays_secs == ()


@pytest.mark.parametrize(
    "event",
    [
        e.JobCreated("jv_9", {}),
        e.JobUpdated("jv_9", {"a_setting_of_the_future": 1}),
        e.JobUpdated("jv_9", {"backwards_compatible": None}),
        e.JobDeleted(),
    ],
)
def test_every_event_folds_on_every_job_and_counts(event: e.Event):
    for past in ((CREATED,), (CREATED, e.JobDeleted())):
        job = given(*past, event).job
        assert (job.version, job.settings.slug) == (len(past) + 1, "send-mail")
    assert (given(event).state is None) == (not isinstance(event, e.JobCreated))
