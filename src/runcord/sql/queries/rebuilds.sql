-- events_of_kind --
-- The events of one kind of stream after a position of the ledger and up to another, in order: as many as have some
-- bytes together, at least one, at most `limit`; and how many bytes the data of each has with those before it.
select stream_id, version, position, recorded_at, event_id, type, data, metadata, bytes_so_far
from (
    select e.*, sum(octet_length(e.data)) over (order by e.position rows unbounded preceding) as bytes_so_far
    from events e
    where e.project_id = %(project_id)s and e.position > %(after)s and e.position <= %(until)s
        and starts_with(e.stream_id, %(prefix)s)
    order by e.position
    limit %(limit)s
) page
where bytes_so_far - octet_length(data) < %(bytes)s
order by position;

-- look_in --
-- Has the transaction look for tables in the shadows first.
select set_config('search_path', quote_ident(%(shadow)s) || ', public', true);

-- look_in_public --
-- Has the transaction look for tables where they are read.
select set_config('search_path', 'public', true);

-- columns --
-- The columns of a table.
select attname
from pg_attribute
where attrelid = ('public.' || quote_ident(%(table)s))::regclass and attnum > 0 and not attisdropped
order by attnum;

-- lock_shadows --
-- One at a time makes shadows or drops them.
select pg_advisory_xact_lock(hashtextextended(%(shadow)s, 0));

-- is_rebuilt_anywhere --
-- Whether any project has a rebuild of a view.
select exists (
    select from projections
    where name = %(name)s
);

-- begin_rebuild --
-- A rebuild of an inline view, unless the project has one.
insert into projections (project_id, name, generation, version, status, switches, target)
select %(project_id)s, %(name)s, 1, %(version)s, 'building', %(switches)s,
    (select h.position from ledger_heads h where h.project_id = %(project_id)s)
on conflict do nothing
returning generation;

-- moved_since --
-- Which streams have events after a position.
select distinct e.stream_id
from events e
where e.project_id = %(project_id)s and e.position > %(position)s and starts_with(e.stream_id, %(prefix)s);

-- hold_head --
-- Holds a ledger where it is until the transaction ends.
select position
from ledger_heads
where project_id = %(project_id)s
for update;

-- unfinished_rebuilds --
-- Rebuilds of inline views that somebody has to go on with, in all projects.
select project_id, name, generation, status
from projections
where name = any (%(names)s::text[]) and parked_at is null
    and (status in ('building', 'dropping') or status = 'ready' and switches)
order by project_id, name
limit %(limit)s;
