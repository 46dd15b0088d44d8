-- Who waits, or waited last, for which event key.

-- event_wait --
-- The wait for an event key.
select event_key, run_id, trigger_id, status, position, requested_at, waits_until, settled_at, sent_by, notify_url,
    payload
from event_waits
where project_id = %(project_id)s and event_key = %(event_key)s;

-- waiting_for_prefix --
-- The waits that are not over for event keys that begin with a prefix.
select event_key, run_id, trigger_id, status, position, requested_at, waits_until, settled_at, sent_by, notify_url,
    payload
from event_waits
where project_id = %(project_id)s and status = 'waiting'
    and event_key >= %(prefix)s::text collate "C"
    and (%(beyond)s::text is null or event_key < %(beyond)s::text collate "C")
order by event_key
limit %(limit)s;

-- page --
-- Waits, newest first, below a position.
select event_key, run_id, trigger_id, status, position, requested_at, waits_until, settled_at, sent_by, notify_url,
    payload
from event_waits
where project_id = %(project_id)s and position < %(before)s
order by position desc
limit %(limit)s;

-- page_of_status --
-- Waits of one status, newest first, below a position.
select event_key, run_id, trigger_id, status, position, requested_at, waits_until, settled_at, sent_by, notify_url,
    payload
from event_waits
where project_id = %(project_id)s and status = %(status)s and position < %(before)s
order by position desc
limit %(limit)s;

-- stats --
-- How many waits there are of each status, and how long those that are over took in seconds.
select count(*),
    count(*) filter (where status = 'waiting'),
    count(*) filter (where status = 'received'),
    count(*) filter (where status = 'timed_out'),
    count(*) filter (where status = 'canceled'),
    coalesce(avg(extract(epoch from settled_at - requested_at)), 0)::double precision
from event_waits
where project_id = %(project_id)s;

-- count_settled --
-- How many waits have been over for some days.
select count(*)
from event_waits
where project_id = %(project_id)s and status <> 'waiting'
    and settled_at < ledger_now() - make_interval(days => %(days)s);

-- purge_settled --
-- Waits that have been over for some days are listed no more.
with purged as (
    delete from event_waits
    where project_id = %(project_id)s and status <> 'waiting'
        and settled_at < ledger_now() - make_interval(days => %(days)s)
    returning event_key
)
select count(*)
from purged;

-- settle_event_waits --
-- Waits that ended; all arrays run in parallel.
update event_waits w
set status = u.status,
    settled_at = u.settled_at,
    sent_by = u.sent_by,
    payload = u.payload
from unnest(
    %(event_keys)b::text[], %(trigger_ids)b::text[], %(statuses)b::text[], %(settled_ats)b::timestamptz[],
    %(sent_bys)b::text[], %(payloads)b::bytea[]
) as u (event_key, trigger_id, status, settled_at, sent_by, payload)
where w.project_id = %(project_id)s and w.event_key = u.event_key and w.trigger_id = u.trigger_id;

-- save_event_waits --
-- Waits that began; all arrays run in parallel.
insert into event_waits (
    project_id, event_key, run_id, trigger_id, status, position, requested_at, waits_until, settled_at, sent_by,
    notify_url, payload
)
select %(project_id)s, u.*
from unnest(
    %(event_keys)b::text[], %(run_ids)b::text[], %(trigger_ids)b::text[], %(statuses)b::text[],
    %(positions)b::bigint[], %(requested_ats)b::timestamptz[], %(waits_untils)b::timestamptz[],
    %(settled_ats)b::timestamptz[], %(sent_bys)b::text[], %(notify_urls)b::text[], %(payloads)b::bytea[]
) as u
on conflict (project_id, event_key) do update
set run_id = excluded.run_id,
    trigger_id = excluded.trigger_id,
    status = excluded.status,
    position = excluded.position,
    requested_at = excluded.requested_at,
    waits_until = excluded.waits_until,
    settled_at = excluded.settled_at,
    sent_by = excluded.sent_by,
    notify_url = excluded.notify_url,
    payload = excluded.payload;
