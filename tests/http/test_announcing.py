"""What workers stream is announced with its first chunk, once, and by attempts at work alone."""

from typing import Any
from unittest.mock import patch

from tests.http.conftest import Api

from runcord.http import announcing


def opened(api: Api, run_id: str) -> list[str]:
    """Return the streams that a run's history has."""
    history = api.get(f"/v1/runs/{run_id}/history").json()
    return [event["data"]["stream_id"] for event in history if event["type"] == "run.stream_opened.v1"]


def stream(api: Api, claim: Any, stream_id: str | None = None) -> Any:
    worker = api.speaking_as(claim["run_token"])
    body = {"chunk": "x", **({} if stream_id is None else {"stream_id": stream_id})}
    return worker.post(f"/sdk/v1/runs/{claim['run']['id']}/stream", body)


def test_the_first_chunk_of_each_stream_announces_it(api: Api) -> None:
    claim = api.working()
    for stream_id in (None, "thoughts", "thoughts", None):
        assert stream(api, claim, stream_id).json() == {"status": "ok"}
    assert opened(api, claim["run"]["id"]) == ["default", "thoughts"]
    with patch.object(announcing, "load_run", side_effect=AssertionError("it is known")):
        assert stream(api, claim).status_code == 200


def test_an_attempt_that_is_over_announces_nothing(api: Api) -> None:
    claim = api.working()
    run_id = claim["run"]["id"]
    api.post(f"/v1/runs/{run_id}/restart")
    (again,) = api.take(run_id=run_id, start=True)
    assert stream(api, claim).status_code == 409
    assert opened(api, run_id) == []
    assert stream(api, again).status_code == 200
    assert opened(api, run_id) == ["default"]


def test_a_run_streams_more_than_it_may_announce(api: Api) -> None:
    claim = api.working()
    with patch.object(announcing, "MAX_STREAMS", 2):
        for n in range(4):
            assert stream(api, claim, f"s{n}").status_code == 200
    assert opened(api, claim["run"]["id"]) == ["s0", "s1"]
    assert len(api.get(f"/v1/runs/{claim['run']['id']}/chunks").json()) == 4
