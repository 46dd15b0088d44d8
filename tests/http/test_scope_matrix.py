"""Every credential against every route, made from the list of operations, so that no route can be forgotten.

The routes are those of the server, and so is all that lets a caller in; what they do then is left out, so that nothing
changes and no stream goes on for ever.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest
from starlette.testclient import TestClient
from tests.http.conftest import PROJECT, Api, NewApi
from tests.http.test_isolation import BODIES, NAMES, PROTECTED, path_with
from tests.http.test_public_tokens import signed

from runcord.http import targets
from runcord.http.app import create_app
from runcord.http.compat.trigger import targets as trigger_dev
from runcord.http.compat.trigger.routes import realtime, streams
from runcord.http.key_administration import create_key
from runcord.http.operation import Answer, Call, Operation
from runcord.http.operations import OPERATIONS
from runcord.http.routes import subscriptions
from runcord.key.form import PUBLIC_SCOPES, Environment, Form
from runcord.settings import load_settings

OPENED_BY = {
    ("read", targets.run_in_path): {
        "read:runs",
        "read:runs:{run_id}",
        "read:tasks",
        "read:tasks:parse",
        "read:tags",
        "read:tags:user:1",
        "read:batch",
        "read:batch:{batch_id}",
    },
    ("read", targets.batch_in_path): {"read:runs", "read:batch", "read:batch:{batch_id}"},
    ("read", targets.runs_of_filter): {"read:runs", "read:tasks"},
    ("read", subscriptions.runs_of_conditions): {"read:runs", "read:tasks"},
    ("read", realtime.runs_with_tags): {"read:runs"},  # nor of tags here
    ("read", trigger_dev.runs_of_tasks): {"read:runs", "read:tasks"},
    ("write", targets.run_in_path): {"write:runs", "write:runs:{run_id}", "write:tasks"},
    ("write", trigger_dev.any_run): {"write:runs"},
    ("trigger", trigger_dev.task_in_path): {"trigger:tasks", "trigger:tasks:parse"},
    ("batchTrigger", trigger_dev.tasks_of_batch): {"batchTrigger:tasks", "batchTrigger:tasks:parse"},
    ("batchTrigger", trigger_dev.tasks_of_items): {"batchTrigger:tasks", "batchTrigger:tasks:parse"},
    # The request that is sent here says nothing of its tasks.
    ("batchTrigger", trigger_dev.tasks_of_new_batch): {"batchTrigger:tasks"},
    ("write", streams.input_of_run): {"write:inputStreams", "write:inputStreams:{run_id}"},
}
"""What opens an operation, by what it does and what it is about: one that is about something else needs a line here."""

OF_EVERYTHING = {"admin", "*", "*:all"}

SCOPES = sorted(
    {"read:inputStreams", "read:waitpoints", "write:inputStreams:run_other", "write:runs", "write:runs:{run_id}"}
    | {"write:tasks", "trigger:tasks", "trigger:tasks:parse", "batchTrigger:tasks", "batchTrigger:tasks:parse"}
    | {"read:runs:run_other", "read:tasks:other", "read:tags:other", "read:batch:batch_other", "nonsense", "read:"}
    | set[str]().union(*OPENED_BY.values())
)


async def let_in(call: Call) -> Answer:
    """Say that the caller was let in."""
    return Answer({"let": "in"})


@pytest.fixture
def gate(api: Api, dsn: str) -> Iterator[TestClient]:
    """A server beside the one of `api`, all of whose routes let callers in, or do not."""
    operations = [replace(operation, handle=let_in) for operation in OPERATIONS]
    app = create_app(load_settings(writers=1, readers=1), dsn, operations=operations)
    with TestClient(app) as client:
        yield client


@pytest.fixture
def things(api: Api) -> dict[str, str]:
    """What paths name: a run of a batch, with a tag."""
    api.new_job()
    batch = api.post("/v1/jobs/parse/trigger/bulk", {"items": [{"tags": {"user": "1"}}]}).json()
    named = dict.fromkeys(NAMES, "x") | {"task": "parse"}
    return named | {"run_id": batch["results"][0]["id"], "batch_id": batch["batch_id"]}


def knock(gate: TestClient, operation: Operation, things: dict[str, str], secret: str) -> int:
    """Return the status of a call, which is 200 where the caller is let in."""
    answer = gate.request(
        operation.method,
        path_with(operation, things),
        headers={"Authorization": f"Bearer {secret}"},
        json=BODIES.get(operation.operation_id),
    )
    assert answer.status_code in {200, 401, 403}, (operation.operation_id, answer.text)
    assert operation.dialect is None or answer.status_code == 200 or "error" in answer.json()
    return answer.status_code


def opened(gate: TestClient, things: dict[str, str], secret: str) -> set[str]:
    """Return the names of the operations that a credential opens."""
    return {one.operation_id for one in PROTECTED if knock(gate, one, things, secret) == 200}


EVERYTHING = {operation.operation_id for operation in PROTECTED}
BY_TOKEN = {operation.operation_id: operation for operation in PROTECTED if operation.tokens is not None}


def opened_by(operation: Operation) -> set[str]:
    """Return the scopes that open an operation."""
    assert operation.tokens is not None
    about = operation.tokens.action, operation.tokens.target
    assert about in OPENED_BY, f"say in OPENED_BY which scopes open {operation.operation_id}"
    return OPENED_BY[about]


def test_it_is_known_what_opens_each_operation_that_tokens_may_call() -> None:
    assert all(opened_by(one) for one in BY_TOKEN.values())
    assert {"get_run", "list_runs", "stream_run"} <= BY_TOKEN.keys()


@pytest.mark.parametrize("form", [None, "trigger", "trigger-sk"])
def test_a_secret_key_of_any_form_opens_every_route(gate, things, dsn, form: Form | None) -> None:
    key = create_key(dsn, PROJECT, "test", form=form)
    assert opened(gate, things, key.secret) == EVERYTHING


def test_a_public_key_opens_what_reads_runs_and_can_leave_their_payloads_out(gate, things, dsn) -> None:
    expected = {
        name for name, one in BY_TOKEN.items() if one.tokens and one.tokens.hides and "read:runs" in opened_by(one)
    }
    for environment in get_args(Environment):
        key = create_key(dsn, PROJECT, "test", scopes=PUBLIC_SCOPES, form="trigger-pk", environment=environment)
        assert opened(gate, things, key.secret) == expected >= {"get_run", "list_runs"}


def test_each_scope_opens_what_it_is_about_and_nothing_else(gate, things, dsn) -> None:
    key = create_key(dsn, PROJECT, "test", form="trigger")
    for scope in SCOPES:
        expected = {name for name, one in BY_TOKEN.items() if scope in opened_by(one)}
        assert opened(gate, things, signed(key.secret, [scope.format(**things)])) == expected, scope


@pytest.mark.parametrize("scope", sorted(OF_EVERYTHING))
def test_a_scope_of_everything_opens_what_tokens_may_call_and_nothing_else(gate, things, dsn, scope: str) -> None:
    key = create_key(dsn, PROJECT, "test", form="trigger")
    assert opened(gate, things, signed(key.secret, [scope])) == BY_TOKEN.keys()


def test_a_token_opens_nothing_that_its_key_does_not(gate, things, dsn) -> None:
    for scope in sorted({one.scope for one in BY_TOKEN.values() if one.scope}):
        key = create_key(dsn, PROJECT, "test", scopes=[scope], form="trigger")
        expected = {name for name, one in BY_TOKEN.items() if scope in {one.scope, *one.other_scopes}}
        assert opened(gate, things, signed(key.secret, ["admin"])) == expected
    keyless = create_key(dsn, PROJECT, "test", scopes=[], form="trigger")
    assert opened(gate, things, signed(keyless.secret, ["admin"])) == set()


def test_no_token_opens_anything_without_scopes_or_of_another_project_or_time(
    gate, things, dsn, new_api: NewApi
) -> None:
    new_api("proj_other")
    key, other = create_key(dsn, PROJECT, "test", form="trigger"), create_key(dsn, "proj_other", "t", form="trigger")
    for credential in (
        signed(key.secret, []),
        signed(key.secret, ["admin"], exp=1),
        signed(other.secret, ["admin"]),
        signed(key.secret, ["admin"], pub=False),
    ):
        assert opened(gate, things, credential) == set()


def test_a_run_token_opens_the_calls_of_its_worker_alone(gate, things, api) -> None:
    token: Any = api.new_run()["run_token"]
    assert opened(gate, things, token) == set()
    own = api.new_run()
    expected = {one.operation_id for one in PROTECTED if one.access == "run"}
    assert opened(gate, things | {"run_id": own["id"]}, own["run_token"]) == expected
