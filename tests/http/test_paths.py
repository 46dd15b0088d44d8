"""Requests find what is served under their path, as Starlette's router would find it."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.routing import Match, Route

from runcord.http.app import resources
from runcord.http.operations import OPERATIONS
from runcord.http.paths import Found, Paths

ALL = list(resources(OPERATIONS))
OURS = Paths((path, path) for path in ALL)
THEIRS = [(path, Route(form, lambda request: None)) for path in ALL for form in (path, f"{path}/")]  # pyright: ignore[reportArgumentType, reportUnknownLambdaType]

SEGMENTS = sorted({segment for path in ALL for segment in path.split("/") if segment and "{" not in segment})


def found_by_starlette(path: str) -> Found[str] | None:
    """Return what the first of the routes that fits would serve."""
    for served, route in THEIRS:
        match, scope = route.matches({"type": "http", "method": "GET", "path": path, "root_path": ""})
        if match != Match.NONE:
            return Found(served, {name: str(value) for name, value in scope["path_params"].items()})
    return None


@pytest.mark.parametrize("path", ALL)
def test_every_path_is_found_with_and_without_a_slash_at_its_end(path: str) -> None:
    wanted = re.sub(r"{(\w+)(:\w+)?}", r"a \1", path)
    for form in (wanted, f"{wanted}/"):
        assert OURS.find(form) == found_by_starlette(form)
    assert OURS.find(wanted) is not None


@given(st.lists(st.sampled_from([*SEGMENTS, "", "x", "a b", "ä", "batch"]), max_size=7), st.booleans())
@example(["v1", "jobs", "batch"], False)
@example(["v1", "jobs", "", "trigger"], False)
@example(["api", "v1", "tasks", "a", "b", "trigger"], True)
def test_anything_else_is_found_where_starlette_finds_it(segments: Sequence[str], ends_with_slash: bool) -> None:
    path = "/" + "/".join(segments) + ("/" if ends_with_slash else "")
    assert OURS.find(path) == found_by_starlette(path)


def test_of_several_that_fit_the_first_one_counts() -> None:
    paths = Paths((path, path) for path in ("/{a}/x", "/one/{b}", "/{a}/{b}", "/two/{b}", "/one/x"))
    found = {path: paths.find(path) for path in ("/one/x", "/one/y", "/two/y", "/three/x", "/three", "")}
    assert {path: one and one.served for path, one in found.items()} == {
        "/one/x": "/{a}/x",
        "/one/y": "/one/{b}",
        "/two/y": "/{a}/{b}",
        "/three/x": "/{a}/x",
        "/three": None,
        "": None,
    }
    assert found["/two/y"] == Found("/{a}/{b}", {"a": "two", "b": "y"})
