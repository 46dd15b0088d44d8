"""Scopes of public tokens: what they say, and the table of what satisfies what."""

from collections.abc import Sequence

import pytest

from runcord.key import token_scopes as ts
from runcord.key.token_scopes import Action, Resource, Scope, parse, parse_all, permits, tag_texts


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("read:runs:run_1", Scope("read", "runs", "run_1")),
        ("read:tags:user:1", Scope("read", "tags", "user:1")),
        ("read:tags:a:b:c::", Scope("read", "tags", "a:b:c::")),
        ("read:runs", Scope("read", "runs")),
        ("read", Scope("read")),
        ("admin", Scope("admin")),
        ("*:all", Scope("*", "all")),
        ("", None),
        (":runs", None),
        ("read:", None),
        ("read:runs:", None),
        ("read::x", None),
    ],
)
def test_a_scope_is_split_at_its_first_two_colons(text: str, scope: Scope | None) -> None:
    assert parse(text) == scope


def allowed(scopes: Sequence[str], action: Action, target: Sequence[Resource]) -> bool:
    return any(permits(parse_all(scopes), action, resource) for resource in target)


RUN = ts.of_run("run_1", "parse", ["user:1", "vip"], "batch_1")
ALONE = ts.of_run("run_2", "parse", [], None)
TAGS = ts.of_tags(["user:1", "vip"])
BATCH = ts.of_batch("batch_1")
LIST = ts.of_list()
LIST_OF_TWO = ts.of_list(["parse", "send"])
TASK = ts.of_tasks(["parse"])
TASKS = ts.of_tasks(["parse", "send"])
NO_TAGS = ts.of_tags([])
INPUT = ts.of_input("run_1")

TABLE: list[tuple[list[str], Action, set[str]]] = [
    # scopes, action, what they open, of all targets
    (["read:runs"], "read", {"run", "alone", "tags", "no tags", "batch", "list", "list of two"}),
    (["read:runs:run_1"], "read", {"run"}),
    (["read:tasks"], "read", {"run", "alone", "list", "list of two", "task", "tasks"}),
    (["read:tasks:parse"], "read", {"run", "alone", "task"}),
    (["read:tasks:parse", "read:tasks:send"], "read", {"run", "alone", "list of two", "task", "tasks"}),
    (["read:tasks:other"], "read", set()),
    (["read:tags"], "read", {"run", "alone", "tags"}),
    (["read:tags:user:1"], "read", {"run", "tags"}),
    (["read:tags:user"], "read", set()),
    (["read:tags:vip"], "read", {"run", "tags"}),
    (["read:batch:batch_1"], "read", {"run", "batch"}),
    (["read:batch:batch_2"], "read", set()),
    (["read:batch"], "read", {"run", "alone", "batch"}),
    (["write:runs:run_1"], "read", set()),
    (["write:runs:run_1"], "write", {"run"}),
    (["write:tasks"], "write", {"run", "alone", "list", "list of two", "task", "tasks"}),
    (["write:inputStreams:run_1"], "write", {"input"}),
    (["trigger:tasks:parse"], "trigger", {"run", "alone", "task"}),
    (["trigger:tasks:parse"], "batchTrigger", set()),
    (["batchTrigger:tasks:parse"], "batchTrigger", {"run", "alone", "task"}),
    (
        ["batchTrigger:tasks:parse", "batchTrigger:tasks:send"],
        "batchTrigger",
        {"run", "alone", "task", "tasks", "list of two"},
    ),
    ([], "read", set()),
    (["", "read:", ":", "nonsense", "read:nothing:x"], "read", set()),
    (["runs:read"], "read", set()),
    (["READ:runs"], "read", set()),
    (["admin:runs"], "read", set()),
    (["read:all:run_1"], "read", set()),
]

TARGETS = {
    "run": RUN,
    "alone": ALONE,
    "tags": TAGS,
    "batch": BATCH,
    "list": LIST,
    "list of two": LIST_OF_TWO,
    "task": TASK,
    "tasks": TASKS,
    "input": INPUT,
    "no tags": NO_TAGS,
}


def test_the_table_of_scopes_holds() -> None:
    for scopes, action, opened in TABLE:
        found = {name for name, target in TARGETS.items() if allowed(scopes, action, target)}
        assert found == opened, (scopes, action)


@pytest.mark.parametrize("scope", ["admin", "*", "*:all", "read", "read:all"])
def test_a_scope_of_everything_opens_everything(scope: str) -> None:
    assert all(allowed([scope], "read", target) for target in TARGETS.values())
    assert allowed([scope], "write", RUN) == (not scope.startswith("read"))


def test_tags_are_named_as_trigger_dev_names_them() -> None:
    assert tag_texts({"vip": "", "user": "1", "a:b": "c"}) == ["a:b:c", "user:1", "vip"]
    assert tag_texts(None) == []
