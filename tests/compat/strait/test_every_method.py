"""Every method of Strait's client, sync and async, does what its users expect."""

import inspect

import pytest
from strait import AsyncClient, Client, StraitError

from .conftest import RunScenario
from .scenarios import SCENARIOS
from .world import FORMS, Form, World

SERVED = {"runs", "sdk_runs", "jobs", "batch_operations", "api_keys", "event_triggers", "stats", "health"}

EXCLUDED = {
    **dict.fromkeys(("workflows", "workflow_runs"), "workflows are a product of their own"),
    **dict.fromkeys(("deployments", "environments", "secrets", "regions"), "Runcord does not run the workers"),
    **dict.fromkeys(("organizations", "projects", "rbac", "cli_auth"), "accounts are made on the command line"),
    **dict.fromkeys(("webhooks", "event_sources", "log_drains", "notification_channels"), "delivery to elsewhere"),
    **dict.fromkeys(("analytics", "billing"), "figures of Strait's cloud"),
    "job_groups": "groups of jobs are kept as a setting of the job",
}
"""Services of the client that are not about runs, and why each is not served."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", sorted(SCENARIOS))
def test_the_method_does_what_its_users_expect(play: RunScenario, method: str, form: Form):
    async def scenario(world: World) -> None:
        try:
            await SCENARIOS[method](world)
        except StraitError as error:
            if (
                "nothing under this path" in str(error)
                or " does not take " in str(error)
                or "prefix/order" in str(error)
            ):
                pytest.skip("not served yet")
            raise

    world = play(form, scenario)
    assert method in world.driven, f"the scenario of {method} never calls it"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_method_has_a_scenario_or_a_reason_why_not(kind: type):
    methods = {
        f"{service}.{name}"
        for service, found in vars(kind(base_url="http://nowhere.invalid")).items()
        if not service.startswith("_") and service not in EXCLUDED
        for name, _ in inspect.getmembers(found, callable)
        if not name.startswith("_")
    }
    assert methods == set(SCENARIOS)
    assert {method.partition(".")[0] for method in methods} == SERVED


def test_no_service_is_excluded_that_the_client_does_not_have():
    services = {name for name in vars(Client()) if not name.startswith("_")}
    assert services == SERVED | set(EXCLUDED)
