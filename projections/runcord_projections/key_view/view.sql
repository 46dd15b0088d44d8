-- The key view's table is `api_keys` in `runcord/sql/schema.sql`: commands are decided on it.

-- load --
-- The states of some keys.
select key_id, version, state
from api_keys
where project_id = %(project_id)s and key_id = any (%(key_ids)b);

-- save --
-- Keys that were made or changed; all arrays run in parallel.
insert into api_keys (project_id, key_id, version, position, created_position, state)
select %(project_id)s, u.*
from unnest(
    %(key_ids)b::text[], %(versions)b::integer[], %(positions)b::bigint[], %(created_positions)b::bigint[],
    %(states)b::bytea[]
) as u
on conflict (project_id, key_id) do update
set version = excluded.version,
    position = excluded.position,
    state = excluded.state;

-- get --
-- One key.
select state
from api_keys
where project_id = %(project_id)s and key_id = %(key_id)s;

-- all --
-- All keys of a project, oldest first.
select state
from api_keys
where project_id = %(project_id)s
order by created_position;

-- page --
-- Keys, newest first, below a position.
select state, created_position
from api_keys
where project_id = %(project_id)s and created_position < %(before)s
order by created_position desc
limit %(limit)s;
