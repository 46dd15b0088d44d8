"""Scopes of public tokens: what each says, and what satisfies a call.

A scope is `action[:type[:id]]`, split at the first two colons, so that ids may hold colons: `read:tags:user:1`.
Without an id it is about all of its type, without a type about everything; the type `all` and the action `*` stand for
any, and the bare `admin` for all there is. No scopes allow nothing, and what makes no sense allows nothing.

A call is about a *target*: resources, any one of which is enough. This is the table:

| target | satisfied by any of |
| --- | --- |
| one run | runs, runs:id, tasks, tasks:its task, tags, tags:any of its tags, batch, batch:its batch |
| runs of a query by tags that must all be there | runs, tags, tags:any of them |
| a batch | batch, batch:id, runs |
| a reset of an idempotency key | write:runs |
| a list of runs | runs, tasks, or tasks:t for every t in the filter |
| a trigger | trigger:tasks, trigger:tasks:t |
| a batch trigger | batchTrigger:tasks, or batchTrigger:tasks:t for every task in it |
| input to a run | write:inputStreams, write:inputStreams:id |
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["read", "write", "trigger", "batchTrigger"]

ANY_ACTION = "*"
ANY_TYPE = "all"
ADMIN = "admin"


@dataclass(frozen=True)
class Scope:
    """One scope. No `type` is every type, no `id` every one of the type."""

    action: str
    type: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Resource:
    """Things of one type that a call is about: a scope of one of them is enough, or with `every` it takes all.

    Without ids, only a scope of the whole type will do.
    """

    type: str
    ids: frozenset[str] = field(default_factory=frozenset[str])
    every: bool = False


def parse(text: str) -> Scope | None:
    """Return what a scope says, or None if it says nothing."""
    action, *rest = text.split(":", 2)
    if not action or "" in rest:
        return None
    return Scope(action, *rest)


def parse_all(texts: Iterable[str]) -> frozenset[Scope]:
    """Return what scopes say, without those that say nothing."""
    return frozenset(scope for text in texts if (scope := parse(text)) is not None)


def permits(scopes: Iterable[Scope], action: Action, resource: Resource) -> bool:
    """Return whether scopes allow an action on a resource."""
    granted: set[str] = set()
    for scope in scopes:
        if scope == Scope(ADMIN):
            return True
        if scope.action not in {action, ANY_ACTION} or scope.type not in {None, ANY_TYPE, resource.type}:
            continue
        if scope.id is None:
            return True
        if scope.type == resource.type:
            granted.add(scope.id)
    if resource.every:
        return bool(resource.ids) and resource.ids <= granted
    return not granted.isdisjoint(resource.ids)


# --- targets ------------------------------------------------------------------------------------------


def of_run_id(run_id: str) -> tuple[Resource, ...]:
    """Return the part of a run's target that its id tells alone."""
    return (Resource("runs", frozenset({run_id})),)


def of_run(run_id: str, task: str, tags: Iterable[str], batch_id: str | None) -> tuple[Resource, ...]:
    """Return the target of calls about one run."""
    return (
        *of_run_id(run_id),
        Resource("tasks", frozenset({task})),
        Resource("tags", frozenset(tags)),
        Resource("batch", frozenset({batch_id} if batch_id else ())),
    )


def of_any_run() -> tuple[Resource, ...]:
    """Return the target of calls that may be about any run."""
    return (Resource("runs"),)


def of_tags(tags: Iterable[str]) -> tuple[Resource, ...]:
    """Return the target of calls about the runs that have all of some tags; without any, they are about all runs."""
    named = frozenset(tags)
    return (Resource("runs"), Resource("tags", named)) if named else (Resource("runs"),)


def of_batch(batch_id: str) -> tuple[Resource, ...]:
    """Return the target of calls about a batch."""
    return (Resource("batch", frozenset({batch_id})), Resource("runs"))


def of_list(tasks: Iterable[str] = ()) -> tuple[Resource, ...]:
    """Return the target of lists of runs, of some tasks or of all."""
    return (Resource("runs"), Resource("tasks", frozenset(tasks), every=True))


def of_tasks(tasks: Iterable[str]) -> tuple[Resource, ...]:
    """Return the target of triggers of tasks."""
    return (Resource("tasks", frozenset(tasks), every=True),)


def of_input(run_id: str) -> tuple[Resource, ...]:
    """Return the target of input sent to a run."""
    return (Resource("inputStreams", frozenset({run_id})),)


# --- tags ---------------------------------------------------------------------------------------------


def tag_texts(tags: Mapping[str, str] | None) -> list[str]:
    """Return tags as scopes, and Trigger.dev, name them: the key, or `key:value` where there is a value; sorted."""
    return sorted(f"{key}:{value}" if value else key for key, value in (tags or {}).items())
