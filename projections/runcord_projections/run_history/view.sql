-- The table `run_history` and the function `find_past_runs` stand in `runcord/sql/schema.sql`.

-- candidates --
-- Runs that may have met a filter at a position, newest first, below a position; each with its latest snapshot up to
-- there, if it has one.
select run_id, created_position, version, state
from find_past_runs(
    %(project_id)s, %(position)s, %(before)s, %(limit)s, %(statuses)s::text[], %(any_status)s, %(terms)s::bigint[],
    %(other_terms)s::bigint[]
);

-- events --
-- What happened to some runs after a version of each, up to a position: so many events of each at most, in order. The
-- data of quiet types, which can be large, is left out, and so is who did it.
select e.stream_id, e.version, e.position, e.recorded_at, e.event_id, e.type, e.data, '{}'::bytea
from unnest(%(run_ids)s::text[], %(versions)s::integer[]) as wanted (run_id, version)
cross join lateral (
    select s.stream_id, s.version, s.position, s.recorded_at, s.event_id, s.type,
        case when s.type = any (%(quiet)s::text[]) then null else s.data end as data
    from events s
    where s.project_id = %(project_id)s and s.stream_id = wanted.run_id
        and s.version > wanted.version and s.version <= wanted.version + %(limit)s
        and s.position <= %(position)s
) as e
order by e.stream_id, e.version;
