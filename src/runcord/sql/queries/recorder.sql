-- What the recorder of the eventsourcing library reads beside the statements of ledger.sql.

-- stored_events --
-- The events of one stream above a version and up to another, oldest first; no limit means all.
select stream_id, version, type, data
from events
where project_id = %(project_id)s and stream_id = %(stream_id)s and version > %(gt)s and version <= %(lte)s
order by version
limit %(limit)s;

-- stored_events_descending --
-- The same, newest first.
select stream_id, version, type, data
from events
where project_id = %(project_id)s and stream_id = %(stream_id)s and version > %(gt)s and version <= %(lte)s
order by version desc
limit %(limit)s;

-- notifications --
-- The events of the ledger from one position to another, both included, of some types if asked.
select stream_id, version, type, data, position
from events
where project_id = %(project_id)s and position >= %(start)s and position <= %(stop)s
    and (%(types)s::text[] is null or type = any (%(types)s::text[]))
order by position
limit %(limit)s;

-- position_of_event --
-- The position of an event by its stream, version and id: there is one if and only if that event was recorded.
select position
from events
where project_id = %(project_id)s and stream_id = %(stream_id)s and version = %(version)s
    and event_id = %(event_id)s;

-- last_position --
-- The position of the ledger's last event, 0 if it has none.
select position
from ledger_heads
where project_id = %(project_id)s;
