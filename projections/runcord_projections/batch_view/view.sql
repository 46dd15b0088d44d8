-- The batch view's table is `batches` in `runcord/sql/schema.sql`.

-- load --
-- The states of some batches.
select batch_id, version, state
from batches
where project_id = %(project_id)s and batch_id = any (%(batch_ids)b);

-- save --
-- Batches that were made, or given items; all arrays run in parallel. The position is where a batch began.
insert into batches (project_id, batch_id, version, position, state)
select %(project_id)s, u.*
from unnest(
    %(batch_ids)b::text[], %(versions)b::integer[], %(positions)b::bigint[], %(states)b::bytea[]
) as u
on conflict (project_id, batch_id) do update
set version = excluded.version,
    state = excluded.state;

-- get --
-- One batch.
select state
from batches
where project_id = %(project_id)s and batch_id = %(batch_id)s;

-- page --
-- Batches, newest first, below a position.
select state, position
from batches
where project_id = %(project_id)s and position < %(before)s
order by position desc
limit %(limit)s;
