-- How the runs of the benchmark `lists` are multiplied: by copies of the rows that the product has written.

-- position --
-- The ledger's last position, rounded up so that copies fall into the same area as a whole.
select position | %(span)s - 1
from ledger_heads
where project_id = %(project_id)s;

-- copy_events --
-- The events of the runs after a position once more, as often as asked, each time `span` positions later: the first of
-- each, or all, as lists of the past read them. The positions of the others are left free.
insert into events (
    project_id, position, stream_id, version, event_id, type, recorded_at, data, metadata, digest
)
select project_id, position + n * %(span)s, 'run_' || lpad(to_hex(n), 6, '0') || left(md5(stream_id), 20), version,
    md5(event_id::text || n)::uuid, type, recorded_at, data, metadata, digest
from events
cross join generate_series(1, %(times)s) as n
where project_id = %(project_id)s and position > %(after)s and (version = 1 or %(whole)s) and stream_id like 'run\_%%'
order by n, position;

-- copy_runs --
-- The runs of these events, likewise.
insert into runs (
    project_id, run_id, version, position, created_position, status, job_id, queue, priority, due_at, wake_at,
    concurrency_key, parent_run_id, batch_id, triggered_by, finished_at, work_ms, payload, result, state
)
select project_id, 'run_' || lpad(to_hex(n), 6, '0') || left(md5(run_id), 20), version, position + n * %(span)s,
    created_position + n * %(span)s, status, job_id, queue, priority, due_at, wake_at, concurrency_key, parent_run_id,
    batch_id, triggered_by, finished_at, work_ms, payload, result,
    convert_to(
        replace(
            convert_from(state, 'UTF8'), run_id, 'run_' || lpad(to_hex(n), 6, '0') || left(md5(run_id), 20)
        ),
        'UTF8'
    )
from runs
cross join generate_series(1, %(times)s) as n
where project_id = %(project_id)s and created_position > %(after)s
order by n, created_position;

-- copy_terms --
-- Their terms, filed in the areas of the copies.
insert into run_terms (project_id, term, position, mask)
select project_id, (position + n * %(span)s >> 21 << 32) | (term & 4294967295), position + n * %(span)s, mask
from run_terms
cross join generate_series(1, %(times)s) as n
where project_id = %(project_id)s and position > %(after)s
order by n, position;

-- copy_history --
-- Their rows of the projection `run_history`.
insert into run_history (
    project_id, generation, run_id, created_position, finished_position, span, dead_until, statuses, positions
)
select project_id, generation, 'run_' || lpad(to_hex(n), 6, '0') || left(md5(run_id), 20),
    created_position + n * %(span)s, finished_position + n * %(span)s, span, dead_until + n * %(span)s, statuses,
    array(select p.at + n * %(span)s from unnest(positions) with ordinality as p (at, place) order by p.place)
from run_history
cross join generate_series(1, %(times)s) as n
where project_id = %(project_id)s and created_position > %(after)s
order by n, created_position;

-- move_projections --
-- All projections go on there, too.
update projections
set position = %(position)s
where project_id = %(project_id)s;

-- moment --
-- The last position before a handful of runs at work begins to end, soon after another.
select e.position - 1
from events e
join events b on b.project_id = e.project_id and b.position = e.position - 1
where e.project_id = %(project_id)s and e.position > %(after)s
    and e.type = 'run.completed.v1' and b.type = 'run.attempted.v1'
order by e.position
limit 1;

-- move_head --
-- The ledger goes on after the copies.
update ledger_heads
set position = %(position)s
where project_id = %(project_id)s;

-- some_runs --
-- The floor: so many runs by their keys.
select state, payload, result, position, created_position
from runs
where project_id = %(project_id)s and run_id = any (%(run_ids)s);

-- some_events --
-- The floor of lists of the past: what happened to so many runs, by their keys, up to a position.
select stream_id, version, position, recorded_at, type, data
from events
where project_id = %(project_id)s and stream_id = any (%(run_ids)s) and position <= %(position)s;

-- touched --
-- What this transaction has read so far: how often a whole table, and how many rows by indexes.
select sum(seq_scan)::bigint, sum(idx_tup_fetch)::bigint
from pg_stat_xact_user_tables
where relname in ('runs', 'run_terms', 'events', 'run_history', 'run_snapshots');
