-- Packets that clients upload before they trigger with them.

-- keep --
-- An upload, in the place of what was there under its path; those of the project that are too old go.
with gone as (
    delete from uploads
    where project_id = %(project_id)s and path <> %(path)s and expires_at < ledger_now()
)
insert into uploads (project_id, path, content_type, data, expires_at)
values (
    %(project_id)s, %(path)s, %(content_type)s, %(data)s, ledger_now() + make_interval(secs => %(life_secs)s)
)
on conflict (project_id, path) do update
set content_type = excluded.content_type,
    data = excluded.data,
    expires_at = excluded.expires_at;

-- get --
-- One upload.
select data, content_type
from uploads
where project_id = %(project_id)s and path = %(path)s and expires_at >= ledger_now();
