-- settings --
-- What decides how much a commit costs.
select name, setting
from pg_settings
where name in ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers')
order by name;
