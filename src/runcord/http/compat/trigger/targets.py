"""What calls of Trigger.dev's clients are about, for public tokens, where their bodies and filters say it."""

from collections.abc import AsyncIterator

from runcord.http.compat.trigger.batch_items import numbered_items
from runcord.http.compat.trigger.bodies import BatchBody, OpenBatchBody
from runcord.http.compat.trigger.query import TaskRunsQuery
from runcord.http.operation import Call
from runcord.key import token_scopes as scopes
from runcord.key.token_scopes import Resource


async def task_in_path(call: Call) -> AsyncIterator[Resource]:
    """Yield what a trigger of the task in the path is about."""
    for resource in scopes.of_tasks([call.path["task"]]):
        yield resource


async def tasks_of_batch(call: Call) -> AsyncIterator[Resource]:
    """Yield what a batch is about that comes with all its items."""
    for resource in scopes.of_tasks(item.task for item in call.body(BatchBody).items):
        yield resource


async def tasks_of_new_batch(call: Call) -> AsyncIterator[Resource]:
    """Yield what a batch is about that will be given its items later, as far as it tells."""
    for resource in scopes.of_tasks(call.body(OpenBatchBody).taskIdentifiers or ()):
        yield resource


async def tasks_of_items(call: Call) -> AsyncIterator[Resource]:
    """Yield what items of a batch are about."""
    for resource in scopes.of_tasks(item.task for item in await numbered_items(call)):
        yield resource


async def runs_of_tasks(call: Call) -> AsyncIterator[Resource]:
    """Yield what a list of runs is about: of the tasks that it is narrowed to, or of all."""
    for resource in scopes.of_list(call.query(TaskRunsQuery).tasks or ()):
        yield resource


async def any_run(call: Call) -> AsyncIterator[Resource]:
    """Yield what a call is about that may be about any run: only a scope of all runs will do."""
    for resource in scopes.of_any_run():
        yield resource
