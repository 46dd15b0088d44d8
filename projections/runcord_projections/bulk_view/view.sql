-- The bulk view's table is `bulk_operations` in `runcord/sql/schema.sql`: commands are decided on it.

-- load --
-- The states of some operations.
select operation_id, version, state
from bulk_operations
where project_id = %(project_id)s and operation_id = any (%(operation_ids)b);

-- save --
-- Operations that were requested or went on; all arrays run in parallel.
insert into bulk_operations (project_id, operation_id, version, position, created_position, status, state)
select %(project_id)s, u.*
from unnest(
    %(operation_ids)b::text[], %(versions)b::integer[], %(positions)b::bigint[], %(created_positions)b::bigint[],
    %(statuses)b::text[], %(states)b::bytea[]
) as u
on conflict (project_id, operation_id) do update
set version = excluded.version,
    position = excluded.position,
    status = excluded.status,
    state = excluded.state;

-- get --
-- One operation.
select state
from bulk_operations
where project_id = %(project_id)s and operation_id = %(operation_id)s;

-- page --
-- Operations, newest first, below a position.
select state, created_position
from bulk_operations
where project_id = %(project_id)s and created_position < %(before)s
order by created_position desc
limit %(limit)s;
