"""The client's calls about projections, as a real server answers them."""

from collections.abc import Callable, Iterator

import pytest

from runcord.client import Client, ConflictError, NotFoundError, Projection
from runcord.clock import monotonic
from runcord.testing.server import API_KEY, ServerProcess

DEADLINE = 30.0


@pytest.fixture
def admin(dsn: str) -> Iterator[Client]:
    with ServerProcess(dsn) as server, Client(server.base_url, API_KEY) as client:
        client.jobs.create("parse")
        yield client


def until(client: Client, is_so: Callable[[Projection], bool]) -> Projection:
    deadline = monotonic() + DEADLINE
    while not is_so(found := client.projections.get("lineage")):
        assert monotonic() < deadline, found
    return found


def test_a_projection_is_rebuilt_compared_switched_and_dropped(admin: Client) -> None:
    run = admin.jobs.trigger("parse")
    admin.runs.cancel(run.id)
    admin.runs.replay(run.id)
    assert "lineage" in [one.name for one in admin.projections.list()]
    begun = admin.projections.rebuild("lineage")
    assert (begun.generation, begun.switches) == (2, False)
    until(admin, lambda found: found.in_status("ready") is not None)
    compared = admin.projections.compare("lineage")
    assert compared.equal and compared.live_rows == compared.rebuilt_rows == 1
    live = admin.projections.switch("lineage").in_status("live")
    assert live is not None and live.generation == 2
    assert admin.projections.drop("lineage", 1).status == "dropping"
    until(admin, lambda found: [one.generation for one in found.generations] == [2])


def test_what_does_not_fit_is_refused(admin: Client) -> None:
    for call in (
        lambda: admin.projections.compare("lineage"),
        lambda: admin.projections.switch("lineage"),
        lambda: admin.projections.skip("lineage", 1, "why not"),
        lambda: admin.projections.retry("lineage"),
    ):
        with pytest.raises(ConflictError):
            call()
    with pytest.raises(NotFoundError):
        admin.projections.get("nothing")
