"""Stored bytes of every released event version can be read for ever, and mean what they meant."""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from runcord.errors import UnknownEventType
from runcord.ledger.mapper import REGISTRY, decode, encode, recorded
from runcord.ledger.upcasts import UPCASTS
from runcord.run import events as e

FOLDER = Path(__file__).parent
FILES = {file.name.removesuffix(".json"): json.loads(file.read_text("utf-8")) for file in FOLDER.glob("*.json")}
EXAMPLES = [
    pytest.param(name, example["stored"].encode(), example["event"], id=f"{name}-{n}")
    for name, golden in sorted(FILES.items())
    for n, example in enumerate(golden["examples"])
]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = spec_from_file_location("make_golden", FOLDER.parent.parent / "tools" / "make_golden.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_type_has_its_golden_file() -> None:
    assert REGISTRY.keys() - FILES.keys() == set(), "run tools/make_golden.py, and commit what it writes"


def test_every_golden_file_is_of_a_type_that_can_be_read() -> None:
    assert {golden["type"] for golden in FILES.values()} == FILES.keys()
    assert FILES.keys() <= REGISTRY.keys() | UPCASTS.keys(), "a released version was dropped"


@pytest.mark.parametrize(("name", "stored", "event"), EXAMPLES)
def test_stored_bytes_mean_what_they_meant(name: str, stored: bytes, event: dict[str, Any], tool: ModuleType) -> None:
    assert tool.plain(decode(name, stored)) == event


@pytest.mark.parametrize(
    ("name", "stored", "event"), [example for example in EXAMPLES if example.values[0] in REGISTRY]
)
def test_a_present_version_is_still_written_as_it_was(name: str, stored: bytes, event: dict[str, Any]) -> None:
    read = decode(name, stored)
    assert type(read) is REGISTRY[name]
    assert encode(read) == stored


def test_the_tool_writes_what_is_missing_and_leaves_the_rest_alone(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "FOLDER", tmp_path)
    released = tmp_path / "run.enqueued.v1.json"
    released.write_text("released")
    assert tool.main() == 0
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.json" for name in REGISTRY}
    assert released.read_text() == "released"
    assert len(capsys.readouterr().out.splitlines()) == len(REGISTRY) - 1
    assert tool.main() == 0
    assert capsys.readouterr().out == ""


def test_an_example_has_no_member_with_its_default(tool: ModuleType) -> None:
    for name, cls in REGISTRY.items():
        members = json.loads(encode(tool.full(cls)))
        assert members.keys() == {member.name for member in fields(cls)}, name


# --- what becomes of old versions ---------------------------------------------------------------------


@pytest.fixture
def old_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the message of a log had had two earlier shapes."""

    def from_first(members: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return "run.logged.v0b", {"text": " ".join(members["words"])}

    def from_second(members: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        return "run.logged.v1", {"message": members["text"], "level": "warn"}

    monkeypatch.setitem(UPCASTS, "run.logged.v0a", from_first)
    monkeypatch.setitem(UPCASTS, "run.logged.v0b", from_second)


@pytest.mark.usefixtures("old_versions")
def test_an_old_version_is_read_as_todays_event_step_by_step() -> None:
    assert decode("run.logged.v0b", b'{"text":"hello"}') == e.Logged("hello", level="warn")
    assert decode("run.logged.v0a", b'{"words":["hello","you"]}') == e.Logged("hello you", level="warn")


@pytest.mark.usefixtures("old_versions")
def test_an_old_version_keeps_its_envelope() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    row = ("run_a", 3, 17, at, UUID(int=1), "run.logged.v0b", b'{"text":"hello"}', b'{"actor":"me"}')
    read = recorded(row)
    assert (read.stream_id, read.version, read.position, read.at, read.event_id, read.metadata) == (
        *row[:5],
        {"actor": "me"},
    )
    assert read.event == e.Logged("hello", level="warn")


@pytest.mark.parametrize("name", ["run.logged.v2", "run.logged", "builtins.dict", ""])
def test_a_type_that_is_not_registered_is_refused(name: str) -> None:
    with pytest.raises(UnknownEventType):
        decode(name, b"{}")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"message":1}', b'{"message":"cut', b"\xff"])
def test_bytes_that_are_no_such_event_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode("run.logged.v1", data)
