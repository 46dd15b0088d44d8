-- Keys that clients sign public tokens with are kept, sealed; and which tokens for one use were used.

alter table api_key_hashes add column sealed bytea;
create index api_key_hashes_sealed on api_key_hashes (project_id) where sealed is not null;

create table spent_tokens (
    project_id text collate "C" not null,
    token_hash bytea not null,
    request_key text,
    expires_at timestamptz not null,
    primary key (project_id, token_hash)
);
create index spent_tokens_expiry on spent_tokens (expires_at);
