-- Projects, keys and secrets: who may come in. Keys are found by their hash, before their project is known.

-- create_project --
-- A new project; nothing happens when it is there.
insert into projects (project_id, name)
values (%(project_id)s, %(name)s)
on conflict do nothing;

-- open_ledger --
-- The project's ledger; nothing happens when it is there.
select ledger_open(%(project_id)s);

-- project --
-- One project.
select project_id, name, created_at
from projects
where project_id = %(project_id)s;

-- projects --
-- All projects.
select project_id, name, created_at
from projects
order by created_at, project_id;

-- create_key --
-- A new API key; the key itself is not kept.
insert into api_keys (project_id, key_id, name, key_hash, key_prefix, scopes, expires_at)
values (
    %(project_id)s, %(key_id)s, %(name)s, %(key_hash)s, %(key_prefix)s, %(scopes)s, %(expires_at)s
);

-- key_of_hash --
-- The key that has a hash, and whether it may be used now.
select project_id, key_id, scopes, revoked_at, expires_at
from api_keys
where key_hash = %(key_hash)s;

-- keys --
-- The keys of a project.
select key_id, name, key_prefix, scopes, created_at, expires_at, revoked_at
from api_keys
where project_id = %(project_id)s
order by created_at, key_id;

-- revoke_key --
-- A key that may not be used any more.
update api_keys
set revoked_at = coalesce(revoked_at, clock_timestamp())
where project_id = %(project_id)s and key_id = %(key_id)s
returning key_id;

-- offer_secret --
-- A secret of this installation, unless it has one.
insert into server_secrets (name, secret)
values (%(name)s, %(secret)s)
on conflict do nothing;

-- secret --
-- A secret of this installation.
select secret
from server_secrets
where name = %(name)s;
