-- begin --
-- Begins a transaction that keeps its first snapshot.
begin isolation level repeatable read;

-- hold --
-- Takes that snapshot, and a transaction id.
select pg_current_xact_id();

-- holds --
-- Whether both are still held: asked by another session.
select coalesce(bool_or(backend_xmin is not null and backend_xid is not null), false)
from pg_stat_activity
where pid = %(pid)s;
