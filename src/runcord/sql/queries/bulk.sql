-- Which runs a bulk operation is about, and which operations have something left to do.

-- active_operations --
-- Operations of all projects that are not at their end, oldest first.
select project_id, operation_id, version, state
from bulk_operations
where status in ('pending', 'running')
order by created_position
limit %(limit)s;

-- runs_of_filter --
-- Runs between two positions that a filter picks, oldest first. Those that have changed since `as_of` come whatever
-- their status, and with their state: what their status was then is in their history.
select run_id, created_position, case when position > %(as_of)s then state end
from runs
where project_id = %(project_id)s
    and created_position > %(after)s and created_position <= %(until)s
    and (status = any (%(statuses)s) or position > %(as_of)s)
    and (%(job_id)s::text is null or job_id = %(job_id)s)
    and (%(batch_id)s::text is null or batch_id = %(batch_id)s)
    and (%(triggered_by)s::text is null or triggered_by = %(triggered_by)s)
order by created_position
limit %(limit)s;

-- last_events_of_runs --
-- The last event of each of some runs that has one of the types, up to a position.
select e.stream_id, e.version, e.position, e.recorded_at, e.event_id, e.type, e.data, e.metadata
from unnest(%(run_ids)s::text[]) as wanted (run_id)
cross join lateral (
    select *
    from events
    where project_id = %(project_id)s and stream_id = wanted.run_id
        and position <= %(as_of)s and type = any (%(types)s)
    order by version desc
    limit 1
) e;

-- runs_named --
-- Some runs, by their ids.
select run_id, status
from runs
where project_id = %(project_id)s and run_id = any (%(run_ids)s);
