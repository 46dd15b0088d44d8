"""What calls are about, for public tokens: the run, tags, batch or tasks that a request names.

Each yields what tells most first, and looks into the database only when that was not enough.
"""

from collections.abc import AsyncIterator
from contextlib import suppress

from runcord.errors import JobNotFound
from runcord.http.models.run_filter import FilterQuery
from runcord.http.operation import Call
from runcord.key import token_scopes as scopes
from runcord.key.token_scopes import Resource
from runcord_projections.run_view.projection import CODEC, SQL


async def run_in_path(call: Call) -> AsyncIterator[Resource]:
    """Yield what a call about the run in the path is about: the run, then its task, its tags and its batch.

    Of a run that is not there nothing more is known than its id.
    """
    run_id = call.path["run_id"]
    for resource in scopes.of_run_id(run_id):
        yield resource
    rows = await call.backend.read(SQL["get"], {"project_id": call.project_id, "run_id": run_id})
    if rows:
        run = CODEC.decode(rows[0][0])
        for resource in scopes.of_run(run_id, run.job_slug, scopes.tag_texts(run.tags), run.batch_id)[1:]:
            yield resource


async def batch_in_path(call: Call) -> AsyncIterator[Resource]:
    """Yield what a call about the batch in the path is about."""
    for resource in scopes.of_batch(call.path["batch_id"]):
        yield resource


async def runs_of_filter(call: Call) -> AsyncIterator[Resource]:
    """Yield what a list of runs by the filters of `/v1/runs` is about: all filters hold, so that any one narrows it."""
    wanted = call.query(FilterQuery).filter
    tags = {key: value for key, value in wanted.tags.items() if value is not None}
    for resource in scopes.of_tags(scopes.tag_texts(tags)):
        yield resource
    if wanted.batch_id is not None:
        yield scopes.of_batch(wanted.batch_id)[0]
    tasks: list[str] = []
    if wanted.job_id is not None:
        with suppress(JobNotFound):
            tasks.append((await call.backend.job_refs.job(call.project_id, wanted.job_id)).settings.slug)
    yield scopes.of_list(tasks)[1]
