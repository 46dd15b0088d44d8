-- The skip view's table is `projection_skips` in `runcord/sql/schema.sql`.

-- load --
-- What some projections pass over.
select projection_id, version, state
from projection_skips
where project_id = %(project_id)s and projection_id = any (%(projection_ids)b);

-- save --
-- What projections pass over; all arrays run in parallel.
insert into projection_skips (project_id, projection_id, version, position, state)
select %(project_id)s, u.*
from unnest(
    %(projection_ids)b::text[], %(versions)b::integer[], %(positions)b::bigint[], %(states)b::bytea[]
) as u
on conflict (project_id, projection_id) do update
set version = excluded.version, position = excluded.position, state = excluded.state;
