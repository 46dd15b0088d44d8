-- Waits for events can be listed: where each began, when, who ended it, and until when it would have lasted.

alter table event_waits
    add column position bigint,
    add column requested_at timestamptz,
    add column sent_by text,
    add column notify_url text;

update event_waits w
set position = e.position,
    requested_at = e.recorded_at,
    waits_until = (convert_from(e.data, 'UTF8')::jsonb ->> 'until')::timestamptz,
    notify_url = convert_from(e.data, 'UTF8')::jsonb ->> 'notify_url'
from events e
where e.project_id = w.project_id and e.stream_id = w.run_id and e.type = 'run.waited.v1'
    and convert_from(e.data, 'UTF8')::jsonb ->> 'trigger_id' = w.trigger_id;
update event_waits w
set sent_by = convert_from(e.metadata, 'UTF8')::jsonb ->> 'actor'
from events e
where w.status = 'received' and e.project_id = w.project_id and e.stream_id = w.run_id
    and e.type = 'run.event_received.v1' and e.recorded_at = w.settled_at
    and convert_from(e.data, 'UTF8')::jsonb ->> 'event_key' = w.event_key;

alter table event_waits
    alter column position set not null,
    alter column requested_at set not null;
create index event_waits_position on event_waits (project_id, position desc);
create index event_waits_status on event_waits (project_id, status, position desc);
-- Sending to a prefix: who waits now, however many have waited.
create index event_waits_waiting on event_waits (project_id, event_key) where status = 'waiting';

-- Bulk triggers come on record as batches, and can be listed. Those of before are not: their runs name them, but how
-- many were asked for nobody has written down.

create table batches (
    project_id text collate "C" not null,
    batch_id text collate "C" not null,
    version integer not null,
    position bigint not null,
    state bytea not null,
    primary key (project_id, batch_id)
);
create index batches_position on batches (project_id, position desc);
