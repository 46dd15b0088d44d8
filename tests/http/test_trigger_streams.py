"""Streams as Trigger.dev's clients write and read them: nothing lost, nothing twice, and an end."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from tests.http.conftest import Api

STREAMS = "/realtime/v1/streams"


@pytest.fixture
def run(api: Api) -> dict[str, Any]:
    """A run that no worker has taken."""
    api.new_job()
    return api.new_run()


def lines(*values: Any) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


def read(api: Api, path: str, **headers: str) -> list[tuple[str, Any]]:
    """Return the frames of a stream up to its end."""
    answer = api.get(f"{STREAMS}/{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [dict(line.split(": ", 1) for line in block.split("\n")) for block in _blocks(answer.text)]
    return [(frame["id"], orjson.loads(frame["data"])) for frame in frames]


def _blocks(text: str) -> Iterator[str]:
    return (block for block in text.split("\n\n") if block.startswith("id: "))


def values(frames: list[tuple[str, Any]]) -> list[Any]:
    return [value for _, value in frames]


def test_what_is_written_is_read_as_it_is_and_the_end_of_the_body_ends_the_stream(api: Api, run: Any) -> None:
    path = f"{run['id']}/self/tokens"
    opened = api.request("PUT", f"{STREAMS}/{path}")
    assert (opened.status_code, opened.json()) == (202, {"version": "v1"})
    told = [{"a": [1, 2.5]}, "text \u2028 and \n more", 7, None, ["x"]]
    assert api.post(f"{STREAMS}/{path}", content=lines(*told)).json() == {"ok": True}
    frames = read(api, f"{run['id']}/tokens")
    assert values(frames) == told
    assert [frame_id.split("-")[1] for frame_id, _ in frames] == ["1", "2", "3", "4", "5"]
    assert values(read(api, f"{run['id']}/tokens", **{"Last-Event-ID": frames[2][0]})) == told[3:]


def test_a_stream_is_announced_once_and_told_of_the_run(api: Api, run: Any) -> None:
    for _ in range(2):
        api.request("PUT", f"{STREAMS}/{run['id']}/self/tokens")
    api.post(f"{STREAMS}/{run['id']}/self/tokens", content=lines(1))
    types = [event["type"] for event in api.get(f"/v1/runs/{run['id']}/history").json()]
    assert types == ["run.triggered.v1", "run.stream_opened.v1"]


def test_a_writer_that_was_cut_goes_on_and_each_value_counts_once(api: Api, run: Any) -> None:
    path, mine = f"{STREAMS}/{run['id']}/self/tokens", {"X-Client-Id": "one"}
    place = {"lastChunkIndex": -1}
    assert api.get(path, headers=mine).json() == place
    cut = api.post(path, content=lines("a", "b") + b'{"c":', headers=mine)
    assert cut.status_code == 400
    told = api.request("HEAD", path, headers=mine)
    assert (told.status_code, told.headers["x-last-chunk-index"]) == (200, "1")
    # It does not trust the answer, and sends one again.
    again = api.post(path, content=lines("b", "c"), headers={**mine, "X-Resume-From-Chunk": "1"})
    assert again.status_code == 200, again.text
    other = api.post(path, content=lines("x"), headers={"X-Client-Id": "two"})
    assert other.status_code == 200
    chunks = api.get(f"/v1/runs/{run['id']}/chunks?stream_id=tokens").json()
    assert [chunk["chunk"] for chunk in chunks if chunk["chunk"]] == ['"a"', '"b"', '"c"', '"x"']
    assert [chunk["sequence"] for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert {chunk["attempt"] for chunk in chunks} == {0}


def test_a_part_that_is_appended_again_counts_once(api: Api, run: Any) -> None:
    path = f"{STREAMS}/{run['id']}/self/notes/append"
    for part, text in (("1", "hello"), ("1", "hello"), ("2", "wörld\n")):
        assert api.post(path, content=text.encode(), headers={"X-Part-Id": part}).json() == {"ok": True}
    assert api.post(path, content=b"\xff").status_code == 400
    api.delete(f"/v1/runs/{run['id']}")
    assert values(read(api, f"{run['id']}/notes")) == ["hello", "wörld\n"]


def test_a_stream_that_is_silent_for_long_ends(api: Api, run: Any) -> None:
    api.post(f"{STREAMS}/{run['id']}/self/notes/append", content=b"one")
    assert values(read(api, f"{run['id']}/notes", **{"Timeout-Seconds": "1"})) == ["one"]
    latest = read(api, f"{run['id']}/notes", **{"Timeout-Seconds": "1", "X-Trigger-Stream-Start": "latest"})
    assert latest == []


def test_what_a_worker_streams_is_seen_as_well(api: Api) -> None:
    claim = api.working()
    worker, run_id = api.speaking_as(claim["run_token"]), claim["run"]["id"]
    for chunk in ("plain text", '{"json":\n1}'):
        worker.post(f"/sdk/v1/runs/{run_id}/stream", {"chunk": chunk, "stream_id": "tokens"})
    worker.post(f"/sdk/v1/runs/{run_id}/complete", {})
    assert values(read(api, f"{run_id}/tokens")) == ["plain text", {"json": 1}]


def test_input_is_sent_to_a_run_and_read_by_it(api: Api, run: Any) -> None:
    path = f"{run['id']}/input/answers"
    for data in ({"yes": True}, "no"):
        assert api.post(f"{STREAMS}/{path}", {"data": data}).json() == {"ok": True}
    assert api.post(f"{STREAMS}/{run['id']}/self/answers/append", content=b"output").status_code == 200
    api.delete(f"/v1/runs/{run['id']}")
    assert values(read(api, path)) == [{"yes": True}, "no"]
    assert values(read(api, f"{run['id']}/answers")) == ["output"]


def test_streams_of_the_parent_and_of_the_root(api: Api) -> None:
    claim = api.working()
    worker, root = api.speaking_as(claim["run_token"]), claim["run"]["id"]
    api.new_job("child")
    child = worker.post(f"/sdk/v1/runs/{root}/spawn", {"job_slug": "child"}).json()
    child_id = child["id"]
    for target in ("parent", "root"):
        api.post(f"{STREAMS}/{child_id}/{target}/up/append", content=target.encode())
    assert api.post(f"{STREAMS}/{child_id}/sister/up/append", content=b"x").status_code == 404
    api.delete(f"/v1/runs/{root}")
    assert values(read(api, f"{root}/up")) == ["parent", "root"]


def test_the_root_is_the_first_of_the_family_however_far_up_it_is(api: Api) -> None:
    api.new_job("line")
    line = [api.new_run("line")["id"]]
    for _ in range(25):
        line.append(api.new_run("line", parent_run_id=line[-1])["id"])
    for target in ("self", "parent", "root"):
        api.post(f"{STREAMS}/{line[-1]}/{target}/up/append", content=target.encode())
    found = api.get(f"/api/v3/runs/{line[-1]}").json()
    assert found["depth"] == 25
    assert found["relatedRuns"]["root"]["id"] == line[0] and found["relatedRuns"]["parent"]["id"] == line[-2]
    for run_id, target in ((line[-1], "self"), (line[-2], "parent"), (line[0], "root")):
        api.delete(f"/v1/runs/{run_id}")
        assert values(read(api, f"{run_id}/up")) == [target]


def test_an_ended_run_takes_nothing_more(api: Api, run: Any) -> None:
    api.request("PUT", f"{STREAMS}/{run['id']}/self/tokens")
    api.delete(f"/v1/runs/{run['id']}")
    assert api.request("PUT", f"{STREAMS}/{run['id']}/self/other").status_code == 400
    for path, body in (("self/tokens", lines(1)), ("self/other", lines(1)), ("self/tokens/append", b"x")):
        assert api.post(f"{STREAMS}/{run['id']}/{path}", content=body).status_code == 400
    assert api.post(f"{STREAMS}/{run['id']}/input/answers", {"data": 1}).status_code == 400
    assert read(api, f"{run['id']}/tokens") == []


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"X-Resume-From-Chunk": "-1"}, lines(1)),
        ({"X-Resume-From-Chunk": "x", "X-Client-Id": "c"}, lines(1)),
        ({"X-Client-Id": "c" * 129}, lines(1)),
        ({}, b"{no json}\n"),
    ],
)
def test_what_makes_no_sense_is_refused(api: Api, run: Any, headers: dict[str, str], body: bytes) -> None:
    answer = api.post(f"{STREAMS}/{run['id']}/self/tokens", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


def test_a_value_beyond_the_limit_is_refused_and_a_wrong_place(api: Api, run: Any) -> None:
    large = orjson.dumps("x" * 600_000)
    assert api.post(f"{STREAMS}/{run['id']}/self/tokens", content=large).status_code == 413
    assert api.post(f"{STREAMS}/{run['id']}/self/tokens/append", content=large).status_code == 413
    assert api.get(f"{STREAMS}/{run['id']}/tokens", headers={"Last-Event-ID": "5"}).status_code == 400


def test_a_public_token_reads_its_run_and_sends_input_where_its_scopes_say_so(api: Api, run: Any) -> None:
    other = api.new_run()
    api.post(f"{STREAMS}/{run['id']}/self/notes/append", content=b"one")
    api.delete(f"/v1/runs/{other['id']}")
    scopes = [f"read:runs:{run['id']}", f"write:inputStreams:{run['id']}"]
    holder = api.speaking_as(api.post("/api/v1/auth/public-tokens", {"scopes": scopes}).json()["token"])
    assert holder.post(f"{STREAMS}/{run['id']}/input/a", {"data": 1}).status_code == 200
    assert values(read(holder, f"{run['id']}/notes", **{"Timeout-Seconds": "1"})) == ["one"]
    assert holder.post(f"{STREAMS}/{other['id']}/input/a", {"data": 1}).status_code == 403
    assert holder.get(f"{STREAMS}/{other['id']}/notes").status_code == 403
    assert holder.request("PUT", f"{STREAMS}/{run['id']}/self/x").status_code == 403
