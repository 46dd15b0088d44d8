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
-- What a new API key is found by; the key itself is kept if clients sign with it, and then sealed.
insert into api_key_hashes (project_id, key_id, key_hash, sealed)
values (%(project_id)s, %(key_id)s, %(key_hash)s, %(sealed)s);

-- keep_sealed_key --
-- A key that clients sign with from now on, sealed.
update api_key_hashes
set sealed = %(sealed)s
where project_id = %(project_id)s and key_id = %(key_id)s;

-- forget_sealed_key --
-- A key that opens nothing any more is not kept.
update api_key_hashes
set sealed = null
where project_id = %(project_id)s and key_id = %(key_id)s and sealed is not null;

-- key_of_hash --
-- The key that has a hash, and the ledgers' time.
select h.project_id, k.state, ledger_now()
from api_key_hashes h
join api_keys k on k.project_id = h.project_id and k.key_id = h.key_id
where h.key_hash = %(key_hash)s;

-- signing_keys --
-- The keys of a project that clients may have signed with, and the ledgers' time.
select h.key_id, k.state, h.sealed, ledger_now()
from api_key_hashes h
join api_keys k on k.project_id = h.project_id and k.key_id = h.key_id
where h.project_id = %(project_id)s and k.project_id = %(project_id)s and h.sealed is not null
order by h.key_id desc;

-- key_of_id --
-- One key, and the ledgers' time.
select key_id, state, null::bytea, ledger_now()
from api_keys
where project_id = %(project_id)s and key_id = %(key_id)s;

-- spend_token --
-- Take a token for one use, which may be taken once: a row if this did, or if the same request did before.
insert into spent_tokens (project_id, token_hash, request_key, expires_at)
values (%(project_id)s, %(token_hash)s, %(request_key)s, %(expires_at)s)
on conflict (project_id, token_hash) do update
set request_key = excluded.request_key
where spent_tokens.request_key = excluded.request_key
returning token_hash;

-- forget_expired_tokens --
-- Tokens that nobody could use any more.
delete from spent_tokens
where expires_at < ledger_now() - interval '1 day';

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
