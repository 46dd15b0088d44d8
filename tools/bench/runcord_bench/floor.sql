-- append --
-- Appends one event each for new runs, with their states; both arrays run in parallel.
with head as (
    update floor_head
    set position = position + cardinality(%(run_ids)b::uuid[])
    where project_id = 1
    returning position - cardinality(%(run_ids)b::uuid[]) as base
),
given as materialized (
    select head.base + u.n as position, u.run_id, u.data
    from head, unnest(%(run_ids)b::uuid[], %(data)b::bytea[]) with ordinality as u (run_id, data, n)
),
recorded as (
    insert into floor_event (project_id, position, stream_id, version, type, data, recorded_at)
    select 1, position, run_id, 1, 'run.triggered', data, clock_timestamp()
    from given
)
insert into floor_run (project_id, run_id, version, status, created_position, payload)
select 1, run_id, 1, 'queued', position, data
from given;

-- lock --
-- Has claims take turns: one that waits in the midst of its statement would count from an old position.
select position
from floor_head
where project_id = 1
for update;

-- claim --
-- Takes queued runs in order, with the events of taking and of beginning; under the lock.
with taken as materialized (
    select run_id, payload, row_number() over (order by created_position) as n
    from (
        select run_id, payload, created_position
        from floor_run
        where project_id = 1 and status = 'queued'
        order by created_position
        limit %(limit)s
        for update skip locked
    ) as queued
),
changed as (
    update floor_run r
    set status = 'executing', version = 3
    from taken t
    where r.project_id = 1 and r.run_id = t.run_id
),
head as (
    update floor_head
    set position = position + 2 * (select count(*) from taken)
    where project_id = 1
    returning position - 2 * (select count(*) from taken) as base
),
recorded as (
    insert into floor_event (project_id, position, stream_id, version, type, data, recorded_at)
    select 1, head.base + 2 * (t.n - 1) + k.nth, t.run_id, 1 + k.nth, k.type, %(data)b, clock_timestamp()
    from head, taken t, (values (1, 'run.dequeued'), (2, 'run.attempted')) as k (nth, type)
)
select run_id, payload
from taken;

-- complete --
-- Ends runs with their results; both arrays run in parallel.
with head as (
    update floor_head
    set position = position + cardinality(%(run_ids)b::uuid[])
    where project_id = 1
    returning position - cardinality(%(run_ids)b::uuid[]) as base
),
given as materialized (
    select head.base + u.n as position, u.run_id, u.data
    from head, unnest(%(run_ids)b::uuid[], %(data)b::bytea[]) with ordinality as u (run_id, data, n)
),
changed as (
    update floor_run r
    set status = 'completed', version = 4
    from given g
    where r.project_id = 1 and r.run_id = g.run_id
)
insert into floor_event (project_id, position, stream_id, version, type, data, recorded_at)
select 1, position, run_id, 4, 'run.completed', data, clock_timestamp()
from given;

-- tell --
-- Wakes who waits for runs.
select pg_notify('floor', '');

-- position --
-- How many events there are.
select position
from floor_head
where project_id = 1;

-- unfinished --
-- Runs whose history is not what it should be: four events and a completed state.
select count(*)
from floor_run r
where r.status <> 'completed' or (
    select count(*) from floor_event e where e.project_id = r.project_id and e.stream_id = r.run_id
) <> 4;
