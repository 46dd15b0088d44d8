"""Every method of Strait's client, sync and async, does what its users expect, or is refused for a reason on record."""

import inspect

import pytest
from strait import ApiError, AsyncClient, Client, NotFoundError

from .conftest import RunScenario
from .not_served import NOT_YET, OUT_OF_SCOPE, methods_of
from .scenarios import SCENARIOS
from .world import FORMS, Form, World, aiter_of

NOT_SERVED = methods_of(OUT_OF_SCOPE) | methods_of(NOT_YET)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", sorted(SCENARIOS.keys() - methods_of(NOT_YET)))
def test_the_method_does_what_its_users_expect(play: RunScenario, method: str, form: Form):
    world = play(form, SCENARIOS[method])
    assert method in world.driven, f"the scenario of {method} never calls it"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("service", sorted({method.partition(".")[0] for method in NOT_SERVED}))
def test_what_is_not_served_is_refused_as_a_path_that_is_not_there(play: RunScenario, service: str, form: Form):
    methods = sorted(method for method in NOT_SERVED if method.startswith(f"{service}."))

    async def scenario(w: World) -> None:
        answers = {method: await refusal(w, method) for method in methods}
        assert set(answers.values()) <= {(404, "not_found"), (405, "method_not_allowed")}, answers

    assert set(methods) <= play(form, scenario).driven


async def refusal(w: World, method: str) -> tuple[int, str] | str:
    """Return the status and the code that a method is refused with. The world holds the answer against our promise."""
    service, _, name = method.partition(".")
    parameters = inspect.signature(getattr(getattr(w.client(), service), name)).parameters.values()
    arguments = [{} if one.name == "body" else "x" for one in parameters if one.kind is not one.KEYWORD_ONLY]
    try:
        answer = await w.call(method, *arguments)
        if hasattr(answer, "__next__") or hasattr(answer, "__anext__"):
            answer = [frame async for frame in aiter_of(answer)]
    except (NotFoundError, ApiError) as error:
        assert isinstance(error.body, dict)
        return error.status, error.body["code"]
    return f"it was served: {str(answer)[:200]}"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_method_has_a_scenario_or_a_reason_why_it_is_not_served(kind: type):
    methods = {
        f"{service}.{name}"
        for service, found in vars(kind(base_url="http://nowhere.invalid")).items()
        if not service.startswith("_")
        for name, _ in inspect.getmembers(found, callable)
        if not name.startswith("_")
    }
    assert methods == SCENARIOS.keys() | methods_of(OUT_OF_SCOPE)


def test_what_is_out_of_scope_has_no_scenario_and_what_is_to_be_served_has_one():
    assert not SCENARIOS.keys() & methods_of(OUT_OF_SCOPE)
    assert methods_of(NOT_YET) <= SCENARIOS.keys()
