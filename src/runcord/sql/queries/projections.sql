-- events_page --
-- The events of the ledger after a position and up to another, in order: as many as have some bytes together, at least
-- one, at most `limit`.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from (
    select e.*, sum(octet_length(e.data)) over (order by e.position rows unbounded preceding)
        - octet_length(e.data) as bytes_before
    from events e
    where e.project_id = %(project_id)s and e.position > %(after)s and e.position <= %(until)s
    order by e.position
    limit %(limit)s
) page
where bytes_before < %(bytes)s
order by position;

-- outlines_page --
-- The events of the ledger after a position and up to another, in order, but for those of some types, unless their version
-- is a multiple of `every`. One row, whose columns run in parallel: that is read at a tenth of the cost of a row for each.
-- Names stand in lines, numbers side by side as they are sent. Of data there is what belongs to types that do not say all;
-- none of it where it is large.
select string_agg(stream_id, E'\n'), string_agg(type, E'\n'), string_agg(int4send(version), ''),
    string_agg(int8send(position), ''), string_agg(timestamptz_send(recorded_at), ''),
    array_agg(case when octet_length(data) > %(large)s then null else data end)
        filter (where type not in (select unnest(%(silent)s::text[])))
from (
    select *
    from events
    where project_id = %(project_id)s and position > %(after)s and position <= %(until)s
        and (type not in (select unnest(%(ignored)s::text[])) or version %% nullif(%(every)s::integer, 0) = 0)
    order by position
) page;

-- outlines_before --
-- The events of some streams up to a position, stream by stream in order; with as much of them as `outlines_page` has.
select e.stream_id, e.version, e.position, e.recorded_at, e.type,
    case when e.type in (select unnest(%(silent)s::text[])) or octet_length(e.data) > %(large)s then null else e.data end
from unnest(%(stream_ids)s::text[]) as wanted (stream_id)
cross join lateral (
    select *
    from events e
    where e.project_id = %(project_id)s and e.stream_id = wanted.stream_id and e.position <= %(position)s
        and e.type not in (select unnest(%(ignored)s::text[]))
    order by e.version
) as e;

-- events_at --
-- What was recorded at some positions, in order: as much as has some bytes together, at least one event.
select position, type, data
from (
    select e.position, e.type, e.data, sum(octet_length(e.data)) over (order by e.position rows unbounded preceding)
        - octet_length(e.data) as bytes_before
    from events e
    where e.project_id = %(project_id)s and e.position = any (%(positions)s::bigint[])
) page
where bytes_before < %(bytes)s
order by position;

-- events_of --
-- The events of some streams after a position and up to another, in order.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from events
where project_id = %(project_id)s and stream_id = any (%(stream_ids)s::text[])
    and position > %(after)s and position <= %(until)s
order by position;

-- runs_before --
-- What makes some runs as they were at a position: of each, in order, its last snapshot in a generation of snapshots that
-- has got to there, if it has any, with `type` null; and the events after it.
select r.*
from unnest(%(stream_ids)s::text[]) as wanted (stream_id)
left join lateral (
    select s.version, s.position, s.state
    from run_snapshots s
    where s.project_id = %(project_id)s and s.generation = %(snapshots)s and s.run_id = wanted.stream_id
    order by s.version desc
    limit 1
) as snapshot on true
cross join lateral (
    select wanted.stream_id, snapshot.version, snapshot.position, null::timestamptz as recorded_at,
        null::uuid as event_id, null::text as type, snapshot.state as data, null::bytea as metadata
    where snapshot.version is not null
    union all
    select e.stream_id, e.version, e.position, e.recorded_at, e.event_id, e.type, e.data, e.metadata
    from events e
    where e.project_id = %(project_id)s and e.stream_id = wanted.stream_id and e.position <= %(position)s
        and e.version > coalesce(snapshot.version, 0)
    order by version
) as r;

-- run_before --
-- What makes a run as it was in a version: its last snapshot up to there, if there is any, with `type` null; and the
-- events after it, in order.
with snapshot as materialized (
    select s.version, s.position, s.state
    from run_snapshots s
    where s.project_id = %(project_id)s and s.run_id = %(stream_id)s and s.version <= %(until)s
        and s.generation = (
            select p.generation
            from projections p
            where p.project_id = %(project_id)s and p.name = 'run_snapshots' and p.status = 'live'
        )
    order by s.version desc
    limit 1
)
select %(stream_id)s::text, s.version, s.position, null, null, null, s.state, null
from snapshot s
union all
(
    select e.stream_id, e.version, e.position, e.recorded_at, e.event_id, e.type, e.data, e.metadata
    from events e
    where e.project_id = %(project_id)s and e.stream_id = %(stream_id)s and e.version <= %(until)s
        and e.version > coalesce((select version from snapshot), 0)
    order by e.version
    limit %(limit)s
)
order by version;

-- generations --
-- All generations of a project's projections.
select name, generation, version, status, position, target, switches, created_at, moved_at, parked_at, error
from projections
where project_id = %(project_id)s
order by name, generation;

-- begin --
-- A first generation of projections that the project does not have yet.
insert into projections (project_id, name, generation, version, status)
select %(project_id)s, u.name, 1, u.version, 'live'
from unnest(%(names)s::text[], %(versions)s::bigint[]) as u (name, version)
on conflict do nothing;

-- build --
-- A further generation, to be built from the first event on, unless one of that version is being built.
insert into projections (project_id, name, generation, version, status, switches, target)
select %(project_id)s, %(name)s, max(p.generation) + 1, %(version)s, 'building', %(switches)s,
    (select h.position from ledger_heads h where h.project_id = %(project_id)s)
from projections p
where p.project_id = %(project_id)s and p.name = %(name)s
having not bool_or(p.status in ('building', 'ready') and p.version >= %(version)s)
on conflict do nothing
returning generation;

-- lock --
-- Locks generations to move them on; those that another process is moving on are left out, or that follow no more.
select name, generation, position
from projections
where project_id = %(project_id)s and status in ('live', 'building', 'ready') and parked_at is null
    and (name, generation) in (select * from unnest(%(names)s::text[], %(generations)s::integer[]))
for update skip locked;

-- move --
-- Generations have reached a position.
update projections
set position = %(position)s, moved_at = clock_timestamp()
where project_id = %(project_id)s
    and (name, generation) in (select * from unnest(%(names)s::text[], %(generations)s::integer[]));

-- park --
-- A generation cannot take an event: it stays before it.
update projections
set position = %(position)s, parked_at = %(parked_at)s, error = %(error)s, moved_at = clock_timestamp()
where project_id = %(project_id)s and name = %(name)s and generation = %(generation)s;

-- unpark --
-- The parked generations of a projection may try again.
update projections
set parked_at = null, error = null
where project_id = %(project_id)s and name = %(name)s and parked_at is not null
returning generation;

-- unpark_at --
-- The generations of a projection that are parked before one event may go on.
update projections
set parked_at = null, error = null
where project_id = %(project_id)s and name = %(name)s and parked_at = %(position)s;

-- parked --
-- Where generations of a projection are parked.
select distinct parked_at
from projections
where project_id = %(project_id)s and name = %(name)s and parked_at is not null;

-- unpark_old --
-- Generations that have been parked for a while may try again, in all projects: their code may have been mended.
update projections
set parked_at = null, error = null
where parked_at is not null and moved_at < clock_timestamp() - make_interval(secs => %(age_secs)s);

-- head_position --
-- How far a ledger has got.
select position
from ledger_heads
where project_id = %(project_id)s;

-- make_ready --
-- Generations that have caught up may be read, or take over.
update projections
set status = 'ready'
where project_id = %(project_id)s and status = 'building'
    and (name, generation) in (select * from unnest(%(names)s::text[], %(generations)s::integer[]));

-- retire --
-- The generation that was read gives way; it is kept, or dropped.
update projections
set status = %(left_as)s, parked_at = null, error = null, moved_at = clock_timestamp()
where project_id = %(project_id)s and name = %(name)s and status = 'live';

-- enliven --
-- A generation is the one that is read from here on.
update projections
set status = 'live', switches = false, target = null
where project_id = %(project_id)s and name = %(name)s and generation = %(generation)s and status = 'ready'
returning generation;

-- live_position --
-- How far the generations that are read have got, the one that is furthest behind; none where one is missing.
select min(position), count(*), max(parked_at)
from projections
where project_id = %(project_id)s and name = any (%(names)s::text[]) and status = 'live';

-- behind --
-- In which projects a generation is behind the ledger and has not moved for a moment, or a projection has none; among
-- all, or those in which something has happened lately or is being built.
select h.project_id
from ledger_heads h
cross join unnest(%(names)s::text[]) as known (name)
left join projections p on p.project_id = h.project_id and p.name = known.name
    and p.status in ('live', 'building', 'ready')
where h.position > coalesce(p.position, 0) and p.parked_at is null
    and (
        %(recent_secs)s::float8 is null
        or h.recorded_at > ledger_now() - make_interval(secs => %(recent_secs)s)
        or p.status = 'building'
    )
    and (p.moved_at is null or p.moved_at < clock_timestamp() - make_interval(secs => %(idle_secs)s))
group by h.project_id
limit %(limit)s;

-- skips --
-- Which events the projections of a project pass over.
select projection_id, version, state
from projection_skips
where project_id = %(project_id)s;

-- hold --
-- Holds generations of a projection where they are until the transaction ends; waits for who moves them on.
select generation
from projections
where project_id = %(project_id)s and name = %(name)s and generation = any (%(generations)s::integer[])
order by generation
for update;

-- drop --
-- A generation is not wanted any more: nothing moves it on from here, and its rows go.
update projections
set status = 'dropping', parked_at = null, error = null, switches = false, moved_at = clock_timestamp()
where project_id = %(project_id)s and name = %(name)s and generation = %(generation)s and status <> 'live'
returning generation;

-- dropping --
-- Generations whose rows are to go, in all projects.
select project_id, name, generation
from projections
where status = 'dropping' and name = any (%(names)s::text[])
order by project_id, name, generation
limit %(limit)s;

-- dropped --
-- A generation has no rows any more, so nothing remains to be known of it.
delete from projections
where project_id = %(project_id)s and name = %(name)s and generation = %(generation)s and status = 'dropping';
