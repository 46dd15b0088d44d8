"""All operations: the one list that the router, the OpenAPI document and the tests of isolation are made from.

The order matters where paths overlap: `/v1/runs/dlq` has to be met before `/v1/runs/{run_id}`, `/v1/jobs/batch` before
`/v1/jobs/{job_id}`, and an event key takes whatever is left of a path.
"""

from runcord.http.compat.trigger.routes import batches as trigger_batches
from runcord.http.compat.trigger.routes import bulk as trigger_bulk
from runcord.http.compat.trigger.routes import packets as trigger_packets
from runcord.http.compat.trigger.routes import realtime
from runcord.http.compat.trigger.routes import runs as trigger_runs
from runcord.http.compat.trigger.routes import streams as trigger_streams
from runcord.http.compat.trigger.routes import tasks as trigger_tasks
from runcord.http.compat.trigger.routes import tokens as trigger_tokens
from runcord.http.compat.trigger.routes import traces as trigger_traces
from runcord.http.operation import Operation
from runcord.http.routes import (
    batches,
    bulk_operations,
    bulk_runs,
    dead_letters,
    events,
    families,
    history,
    job_batches,
    job_dependencies,
    job_health,
    jobs,
    keys,
    ledger,
    projections,
    public_tokens,
    queue,
    run_commands,
    run_facts,
    runs,
    sdk,
    sdk_facts,
    statistics,
    streams,
    subscriptions,
    system,
    tags,
    trigger,
)

OPERATIONS: tuple[Operation, ...] = (
    *job_batches.OPERATIONS,
    *jobs.OPERATIONS,
    *job_dependencies.OPERATIONS,
    *job_health.OPERATIONS,
    *statistics.OPERATIONS,
    *trigger.OPERATIONS,
    *queue.OPERATIONS,
    *sdk.OPERATIONS,
    *sdk_facts.OPERATIONS,
    *batches.OPERATIONS,
    *ledger.OPERATIONS,
    *events.OPERATIONS,
    *keys.OPERATIONS,
    *public_tokens.OPERATIONS,
    *trigger_tokens.OPERATIONS,
    *trigger_tasks.OPERATIONS,
    *trigger_batches.OPERATIONS,
    *trigger_runs.OPERATIONS,
    *trigger_bulk.OPERATIONS,
    *trigger_traces.OPERATIONS,
    *trigger_packets.OPERATIONS,
    *trigger_streams.OPERATIONS,
    *projections.OPERATIONS,
    *bulk_runs.OPERATIONS,
    *bulk_operations.OPERATIONS,
    *tags.OPERATIONS,
    *dead_letters.OPERATIONS,
    *runs.OPERATIONS,
    *run_commands.OPERATIONS,
    *run_facts.OPERATIONS,
    *families.OPERATIONS,
    *history.OPERATIONS,
    *streams.OPERATIONS,
    *subscriptions.OPERATIONS,
    *realtime.OPERATIONS,
    *system.OPERATIONS,
    *events.OPERATIONS_ON_ONE,
)
