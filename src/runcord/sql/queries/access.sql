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

-- keep_key_hash --
-- What a new API key is found by; the key itself is not kept.
insert into api_key_hashes (project_id, key_id, key_hash)
values (%(project_id)s, %(key_id)s, %(key_hash)s);

-- key_of_hash --
-- The key that has a hash, and the ledgers' time.
select h.project_id, k.state, ledger_now()
from api_key_hashes h
join api_keys k on k.project_id = h.project_id and k.key_id = h.key_id
where h.key_hash = %(key_hash)s;

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
