-- head_lock --
-- Locks the ledger and tells its tip and the time of what is decided under the lock.
select position, greatest(recorded_at, ledger_now()) as at, dependencies_position
from ledger_heads
where project_id = %(project_id)s
for update;

-- head --
-- Tells the tip of the ledger without locking it.
select position, recorded_at, digest
from ledger_heads
where project_id = %(project_id)s;

-- append --
-- Appends events; all arrays run in parallel.
select ledger_append(
    %(project_id)s, %(at)b, %(stream_ids)b, %(versions)b, %(event_ids)b, %(types)b, %(data)b, %(metadata)b
);

-- event_ids_after --
-- The ids of the events after a position: tells whether a commit whose answer was lost took place.
select event_id
from events
where project_id = %(project_id)s and position > %(position)s
order by position
limit %(limit)s;

-- stream_events --
-- The events of one stream between two versions, oldest first.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from events
where project_id = %(project_id)s and stream_id = %(stream_id)s
    and version > %(after)s and version <= %(until)s
order by version
limit %(limit)s;

-- stream_page --
-- The events of one stream after a version, in order: as many as have some bytes together, at least one, at most
-- `limit`.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from (
    select e.*, sum(octet_length(e.data)) over (order by e.version rows unbounded preceding)
        - octet_length(e.data) as bytes_before
    from events e
    where e.project_id = %(project_id)s and e.stream_id = %(stream_id)s and e.version > %(after)s
    order by e.version
    limit %(limit)s
) page
where bytes_before < %(bytes)s
order by version;

-- streams_that_moved --
-- Which of some streams have events between two positions, and how far they have got. It reads the ledger between the
-- positions, and not the streams, whatever the planner knows of either.
with recent as materialized (
    select stream_id, version
    from events
    where project_id = %(project_id)s and position > %(after)s and position <= %(until)s
)
select stream_id, max(version)
from recent
where stream_id = any (%(stream_ids)s)
group by stream_id;

-- stream_events_of_types --
-- The events of one stream that have one of the types, oldest first.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from events
where project_id = %(project_id)s and stream_id = %(stream_id)s
    and version > %(after)s and type = any (%(types)s)
order by version
limit %(limit)s;

-- stream_events_by --
-- The events of one stream of some types, and of one actor and one request; null means any. Oldest first.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from events
where project_id = %(project_id)s and stream_id = %(stream_id)s and version > %(after)s
    and (%(types)s::text[] is null or type = any (%(types)s::text[]))
    and (%(actor)s::text is null or convert_from(metadata, 'UTF8')::jsonb ->> 'actor' = %(actor)s::text)
    and (%(request_id)s::text is null or convert_from(metadata, 'UTF8')::jsonb ->> 'request_id' = %(request_id)s::text)
order by version
limit %(limit)s;

-- stream_events_of_types_descending --
-- The events of one stream that have one of the types, newest first.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from events
where project_id = %(project_id)s and stream_id = %(stream_id)s
    and version < %(before)s and type = any (%(types)s)
order by version desc
limit %(limit)s;

-- version_at --
-- The last version of a stream up to a position, found by halving: versions have no holes, and positions grow with them.
with recursive search as (
    select 0 as low, coalesce((
        select e.version from events e
        where e.project_id = %(project_id)s and e.stream_id = %(stream_id)s
        order by e.version desc
        limit 1
    ), 0) as high
    union all
    select
        case when e.position <= %(position)s then e.version else s.low end,
        case when e.position <= %(position)s then s.high else e.version - 1 end
    from search s
    join events e
        on e.project_id = %(project_id)s and e.stream_id = %(stream_id)s and e.version = (s.low + s.high + 1) / 2
    where s.low < s.high
)
select max(low) from search;

-- chosen_events --
-- Single events of streams, by parallel arrays of stream ids and versions.
select e.stream_id, e.version, e.position, e.recorded_at, e.event_id, e.type, e.data, e.metadata
from unnest(%(stream_ids)s::text[], %(versions)s::integer[]) as wanted (stream_id, version)
join events e
    on e.project_id = %(project_id)s and e.stream_id = wanted.stream_id and e.version = wanted.version;

-- ledger_events --
-- The events of the ledger after a position, in order.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from events
where project_id = %(project_id)s and position > %(after)s
order by position
limit %(limit)s;

-- chain_events --
-- All that a digest covers, after a position, in order.
select position, stream_id, version, event_id, type, recorded_at, data, metadata, digest
from events
where project_id = %(project_id)s and position > %(after)s
order by position
limit %(limit)s;

-- heads_after --
-- The tips of ledgers among the projects given.
select project_id, position
from ledger_heads
where project_id = any (%(project_ids)s);

-- join_listeners --
-- Counts this session among those that listen for news of ledgers, until it ends.
select pg_advisory_lock_shared(%(lock)s::bigint);

-- leave_listeners --
select pg_advisory_unlock_shared(%(lock)s::bigint);

-- is_only_listener --
-- Whether no other session listens, whoever it belongs to. The lock that is tried for is gone with the transaction.
select pg_try_advisory_xact_lock(%(lock)s::bigint);

-- tell --
-- Has those who listen hear of something.
select pg_notify(%(channel)s, %(payload)s);
