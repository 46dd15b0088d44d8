"""Families: the graph around a run."""

from runcord.http.models.views import Family, FamilyQuery
from runcord.http.moment import moment
from runcord.http.operation import Answer, Call, Operation
from runcord.http.run_answers import require_run_at
from runcord_projections.lineage.family import KINDS, family


async def get_family(call: Call) -> Answer:
    """Answer the graph around a run: its parents, children, continuations and replays, and when it was queued again.

    With `position` or `at`, as it was then, each run with the status that it had. At most 1,000 runs, the closest;
    `truncated` says whether there are more.
    """
    query = call.query(FamilyQuery)
    then = await moment(call, query)
    run_id = call.path["run_id"]
    await require_run_at(call, run_id, then.position)
    await call.backend.projections.reach(call.project_id, then.position, "lineage")
    found = await family(
        call.backend.read,
        call.project_id,
        run_id,
        then.position,
        direction=query.direction,
        kinds=KINDS if query.kinds is None else query.kinds,
        most_deep=query.depth,
    )
    body = {
        "run_id": run_id,
        "position": then.position,
        "nodes": [node._asdict() for node in found.nodes],
        "edges": [
            {"from": edge.run_id, "to": edge.other_run_id, "kind": edge.kind, "position": edge.position}
            for edge in found.edges
        ],
        "truncated": found.truncated,
    }
    return Answer(body, position=then.position)


OPERATIONS = (
    Operation(
        "GET",
        "/v1/runs/{run_id}/family",
        get_family,
        "Get a run's family",
        "runs",
        "runs:read",
        query=FamilyQuery,
        answer=Family,
    ),
)
