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
-- their status, and with their state: what their status was then is in their history. `all_statuses` names every
-- status there is, because runs stand in their order within a status.
select n.run_id, n.created_position, case when n.position > %(as_of)s then n.state end
from unnest(%(all_statuses)s::text[]) as s (status)
cross join lateral (
    select r.run_id, r.created_position, r.position, r.state
    from runs r
    where r.project_id = %(project_id)s and r.status = s.status
        and r.created_position > %(after)s and r.created_position <= %(until)s
        and (s.status = any (%(statuses)s) or r.position > %(as_of)s)
        and (%(job_id)s::text is null or r.job_id = %(job_id)s)
        and (%(batch_id)s::text is null or r.batch_id = %(batch_id)s)
        and (%(triggered_by)s::text is null or r.triggered_by = %(triggered_by)s)
    order by r.created_position
    limit %(limit)s
) as n
order by n.created_position
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
