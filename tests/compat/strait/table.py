"""The table of scenarios, by the method that each is about."""

from collections.abc import Awaitable, Callable

from .world import World

Scenario = Callable[[World], Awaitable[None]]

SCENARIOS: dict[str, Scenario] = {}
"""By `service.method`."""


def drives(method: str) -> Callable[[Scenario], Scenario]:
    """Enter a scenario into the table."""

    def enter(scenario: Scenario) -> Scenario:
        assert method not in SCENARIOS, f"{method} has a scenario already"
        SCENARIOS[method] = scenario
        return scenario

    return enter
