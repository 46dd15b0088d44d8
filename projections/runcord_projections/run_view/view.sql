-- The run view's table is `runs` in `runcord/sql/schema.sql`: commands are decided on it.

-- load --
-- The states of some runs.
select run_id, version, state
from runs
where project_id = %(project_id)s and run_id = any (%(run_ids)b);

-- insert --
-- Runs that were triggered; all arrays run in parallel. They are taken apart in the select list: functions in `from`
-- cost twice as much to begin, which for few runs is most of it.
insert into runs (
    project_id, run_id, version, position, created_position, status, job_id, queue, priority, due_at, wake_at,
    concurrency_key, parent_run_id, batch_id, triggered_by, state, payload, result,
    finished_at, work_ms
)
select
    %(project_id)s, unnest(%(run_ids)b::text[]), unnest(%(versions)b::integer[]), unnest(%(positions)b::bigint[]),
    unnest(%(created_positions)b::bigint[]), unnest(%(statuses)b::text[]), unnest(%(job_ids)b::text[]),
    unnest(%(queues)b::text[]), unnest(%(priorities)b::smallint[]), unnest(%(due_ats)b::timestamptz[]),
    unnest(%(wake_ats)b::timestamptz[]), unnest(%(concurrency_keys)b::text[]), unnest(%(parent_run_ids)b::text[]),
    unnest(%(batch_ids)b::text[]), unnest(%(triggered_bys)b::text[]), unnest(%(states)b::bytea[]),
    unnest(%(payloads)b::bytea[]), unnest(%(results)b::bytea[]), unnest(%(finished_ats)b::timestamptz[]),
    unnest(%(work_mss)b::integer[]);

-- update --
-- Runs that changed; what never changes after the trigger is left alone, documents where there is a new one.
-- The ids are named twice, here and below, so that the rows are reached by their keys whichever side leads: a plan that
-- was made while the table was small would else read the whole project for each group, until the table is analyzed.
update runs r
set version = u.version,
    position = u.position,
    status = u.status,
    priority = u.priority,
    due_at = u.due_at,
    wake_at = u.wake_at,
    state = u.state,
    payload = case when u.new_payload then u.payload else r.payload end,
    result = coalesce(u.result, r.result),
    finished_at = u.finished_at,
    work_ms = u.work_ms
from (
    select
        unnest(%(run_ids)b::text[]) as run_id, unnest(%(versions)b::integer[]) as version,
        unnest(%(positions)b::bigint[]) as position, unnest(%(statuses)b::text[]) as status,
        unnest(%(priorities)b::smallint[]) as priority, unnest(%(due_ats)b::timestamptz[]) as due_at,
        unnest(%(wake_ats)b::timestamptz[]) as wake_at, unnest(%(states)b::bytea[]) as state,
        unnest(%(new_payloads)b::boolean[]) as new_payload, unnest(%(payloads)b::bytea[]) as payload,
        unnest(%(results)b::bytea[]) as result, unnest(%(finished_ats)b::timestamptz[]) as finished_at,
        unnest(%(work_mss)b::integer[]) as work_ms
) u
where r.project_id = %(project_id)s and r.run_id = u.run_id and r.run_id = any (%(run_ids)b::text[]);

-- add_items --
-- Items at the end of the payloads of batches, which end in `]}`; each item comes with a comma before it.
update runs r
set payload = substring(r.payload from 1 for octet_length(r.payload) - 2) || u.items || ']}'::bytea
from unnest(%(run_ids)b::text[], %(items)b::bytea[]) as u (run_id, items)
where r.project_id = %(project_id)s and r.run_id = u.run_id and r.run_id = any (%(run_ids)b::text[]);

-- move --
-- Runs that a further trigger has given another place in the queue.
update runs r
set queue = u.queue,
    concurrency_key = u.concurrency_key
from unnest(%(run_ids)b::text[], %(queues)b::text[], %(concurrency_keys)b::text[]) as u (
    run_id, queue, concurrency_key
)
where r.project_id = %(project_id)s and r.run_id = u.run_id and r.run_id = any (%(run_ids)b::text[]);

-- get --
-- One run with its documents.
select state, payload, result, position, created_position
from runs
where project_id = %(project_id)s and run_id = %(run_id)s;

-- results --
-- What runs came to.
select run_id, result
from runs
where project_id = %(project_id)s and run_id = any (%(run_ids)s::text[]);

-- children --
-- The runs that a run spawned, oldest first, above a position.
select state, payload, result, position, created_position
from runs
where project_id = %(project_id)s and parent_run_id = %(run_id)s and created_position > %(after)s
order by created_position
limit %(limit)s;

-- ancestors --
-- The run that spawned a run, the one that spawned that, and so on, nearest first, at most `limit`.
with recursive line (parent_run_id, depth) as (
    select parent_run_id, 0 from runs where project_id = %(project_id)s and run_id = %(run_id)s
    union all
    select r.parent_run_id, line.depth + 1
    from line
    join runs r on r.project_id = %(project_id)s and r.run_id = line.parent_run_id
    where line.depth + 1 < %(limit)s
)
select r.state
from line
join runs r on r.project_id = %(project_id)s and r.run_id = line.parent_run_id
order by line.depth;

-- page_of_named --
-- Some runs, by their ids, newest first, below a position.
select state, payload, result, position, created_position
from runs
where project_id = %(project_id)s and run_id = any (%(run_ids)s::text[]) and created_position < %(before)s
order by created_position desc
limit %(limit)s;

-- is_there --
-- Whether there is such a run.
select exists (
    select from runs
    where project_id = %(project_id)s and run_id = %(run_id)s
);

-- has_unfinished --
-- Whether any of some runs has not ended.
select exists (
    select from runs
    where project_id = %(project_id)s and run_id = any (%(run_ids)s::text[]) and status not in (
        'completed', 'failed', 'timed_out', 'crashed', 'system_failed', 'canceled', 'expired', 'dead_letter'
    )
);

-- lineage --
-- A chain of continuations as it was at a position: back from a run to its root, then all that came of the root, by
-- depth and age, above a depth and position.
with recursive back as (
    select %(run_id)s::text as run_id, 0 as steps
    union all
    select convert_from(e.data, 'UTF8')::jsonb ->> 'continuation_of', b.steps + 1
    from back b
    join events e on e.project_id = %(project_id)s and e.stream_id = b.run_id and e.version = 1
    where convert_from(e.data, 'UTF8')::jsonb ? 'continuation_of'
),
family as (
    (
        select run_id, 0 as depth
        from back
        order by steps desc
        limit 1
    )
    union all
    select convert_from(e.data, 'UTF8')::jsonb ->> 'continuation_run_id', f.depth + 1
    from family f
    join events e on e.project_id = %(project_id)s and e.stream_id = f.run_id and e.type = 'run.continued.v1'
        and e.position <= %(until)s
)
select r.state, r.payload, r.result, r.position, r.created_position, f.depth
from family f
join runs r on r.project_id = %(project_id)s and r.run_id = f.run_id
where (f.depth, r.created_position) > (%(depth)s, %(after)s) and r.created_position <= %(until)s
order by f.depth, r.created_position
limit %(limit)s;

-- position_at --
-- The last position of a ledger up to a time, found by halving: positions have no holes and times never go back.
with recursive search as (
    select 0::bigint as low, position as high
    from ledger_heads
    where project_id = %(project_id)s
    union all
    select
        case when e.recorded_at <= %(at)s then e.position else s.low end,
        case when e.recorded_at <= %(at)s then s.high else e.position - 1 end
    from search s
    join events e on e.project_id = %(project_id)s and e.position = (s.low + s.high + 1) / 2
    where s.low < s.high
)
select coalesce(max(low), 0)
from search;

-- count_by_status --
-- How many runs have each status.
select status, count(*)
from runs
where project_id = %(project_id)s and (%(job_id)s::text is null or job_id = %(job_id)s)
group by status;

-- count_open --
-- How many runs that are not over have each status, and how many are dead letters. Each status has its index; what is at
-- work is found by the leases, which are few.
select status, count(*)
from runs
where project_id = %(project_id)s and status = 'queued'
group by status
union all
select status, count(*)
from runs
where project_id = %(project_id)s and status in ('delayed', 'waiting', 'paused', 'dead_letter')
    and status not in ('queued', 'dequeued', 'executing', 'completed')
group by status
union all
select r.status, count(*)
from leases l
join runs r on r.project_id = %(project_id)s and r.run_id = l.run_id
where l.project_id = %(project_id)s and r.status in ('dequeued', 'executing')
group by r.status;
