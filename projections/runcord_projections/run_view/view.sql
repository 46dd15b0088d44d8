-- The run view's table is `runs` in `runcord/sql/schema.sql`: commands are decided on it.

-- load --
-- The states of some runs.
select run_id, version, state
from runs
where project_id = %(project_id)s and run_id = any (%(run_ids)b);

-- insert --
-- Runs that were triggered; all arrays run in parallel.
insert into runs (
    project_id, run_id, version, position, created_position, status, job_id, queue, priority, due_at, wake_at,
    concurrency_key, parent_run_id, batch_id, triggered_by, state, payload, result
)
select %(project_id)s, u.*
from unnest(
    %(run_ids)b::text[], %(versions)b::integer[], %(positions)b::bigint[], %(created_positions)b::bigint[],
    %(statuses)b::text[], %(job_ids)b::text[], %(queues)b::text[], %(priorities)b::smallint[],
    %(due_ats)b::timestamptz[], %(wake_ats)b::timestamptz[], %(concurrency_keys)b::text[],
    %(parent_run_ids)b::text[], %(batch_ids)b::text[], %(triggered_bys)b::text[], %(states)b::bytea[],
    %(payloads)b::bytea[], %(results)b::bytea[]
) as u;

-- update --
-- Runs that changed; what never changes after the trigger is left alone, documents where there is a new one.
update runs r
set version = u.version,
    position = u.position,
    status = u.status,
    priority = u.priority,
    due_at = u.due_at,
    wake_at = u.wake_at,
    state = u.state,
    payload = case when u.new_payload then u.payload else r.payload end,
    result = coalesce(u.result, r.result)
from unnest(
    %(run_ids)b::text[], %(versions)b::integer[], %(positions)b::bigint[], %(statuses)b::text[],
    %(priorities)b::smallint[], %(due_ats)b::timestamptz[], %(wake_ats)b::timestamptz[], %(states)b::bytea[],
    %(new_payloads)b::boolean[], %(payloads)b::bytea[], %(results)b::bytea[]
) as u (
    run_id, version, position, status, priority, due_at, wake_at, state, new_payload, payload, result
)
where r.project_id = %(project_id)s and r.run_id = u.run_id;

-- get --
-- One run with its documents.
select state, payload, result, position, created_position
from runs
where project_id = %(project_id)s and run_id = %(run_id)s;

-- page --
-- Runs by any combination of filters, newest first, below a position.
select state, payload, result, position, created_position
from runs
where project_id = %(project_id)s
    and created_position < %(before)s
    and (%(statuses)s::text[] is null or status = any (%(statuses)s))
    and (%(job_id)s::text is null or job_id = %(job_id)s)
    and (%(batch_id)s::text is null or batch_id = %(batch_id)s)
    and (%(triggered_by)s::text is null or triggered_by = %(triggered_by)s)
order by created_position desc
limit %(limit)s;

-- children --
-- The runs that a run spawned, oldest first, above a position.
select state, payload, result, position, created_position
from runs
where project_id = %(project_id)s and parent_run_id = %(run_id)s and created_position > %(after)s
order by created_position
limit %(limit)s;

-- position_at --
-- The last position of a ledger up to a time.
select coalesce(max(position), 0)
from events
where project_id = %(project_id)s and recorded_at <= %(at)s;

-- count_by_status --
-- How many runs have each status.
select status, count(*)
from runs
where project_id = %(project_id)s and (%(job_id)s::text is null or job_id = %(job_id)s)
group by status;
