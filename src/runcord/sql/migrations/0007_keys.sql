-- The administration of API keys comes on record: keys become streams of their project's ledger, `api_keys` a view of
-- them. The hashes move into a table of their own, which the ledger knows nothing of. Keys that are there get the
-- events that would have made them.

create table api_key_hashes (
    project_id text collate "C" not null,
    key_id text collate "C" not null,
    key_hash bytea not null,
    primary key (project_id, key_id)
);
create index api_key_hashes_hash on api_key_hashes (key_hash);
insert into api_key_hashes (project_id, key_id, key_hash)
select project_id, key_id, key_hash
from api_keys;

create temporary table keys_before on commit drop as
select * from api_keys;

drop table api_keys;
create table api_keys (
    project_id text collate "C" not null references projects,
    key_id text collate "C" not null,
    version integer not null,
    position bigint not null,
    created_position bigint not null,
    state bytea not null,
    primary key (project_id, key_id)
);
create index api_keys_created on api_keys (project_id, created_position desc);

set local timezone to 'UTC';
do $$
declare
    v_key record;
    v_made bytea;
    v_state bytea;
    v_position bigint;
    v_version integer;
    v_actor constant bytea := convert_to('{"actor":"migration"}', 'UTF8');
begin
    for v_key in select * from keys_before order by project_id, created_at, key_id loop
        v_made := convert_to(json_strip_nulls(json_build_object(
            'name', v_key.name, 'prefix', v_key.key_prefix, 'scopes', v_key.scopes, 'expires_at', v_key.expires_at,
            'since', v_key.created_at
        ))::text, 'UTF8');
        v_position := ledger_append(
            v_key.project_id, null, array[v_key.key_id], array[1], array[gen_random_uuid()],
            array['key.created.v1'], array[v_made], array[v_actor]
        );
        v_version := 1;
        if v_key.revoked_at is not null then
            v_position := ledger_append(
                v_key.project_id, null, array[v_key.key_id], array[2], array[gen_random_uuid()],
                array['key.revoked.v1'], array[convert_to(json_build_object('since', v_key.revoked_at)::text, 'UTF8')],
                array[v_actor]
            );
            v_version := 2;
        end if;
        v_state := convert_to(json_strip_nulls(json_build_object(
            'key_id', v_key.key_id, 'version', v_version, 'name', v_key.name, 'prefix', v_key.key_prefix,
            'scopes', v_key.scopes, 'created_at', v_key.created_at, 'created_by', 'migration',
            'expires_at', v_key.expires_at, 'revoked_at', v_key.revoked_at,
            'revoked_by', case when v_key.revoked_at is not null then 'migration' end
        ))::text, 'UTF8');
        insert into api_keys (project_id, key_id, version, position, created_position, state)
        values (v_key.project_id, v_key.key_id, v_version, v_position, v_position - v_version + 1, v_state);
    end loop;
end
$$;
