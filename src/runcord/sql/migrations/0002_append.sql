-- ledger_append at less cost: streams that begin are looked up without counting through their versions, and what the
-- digests cover is put together in one statement. What it accepts, refuses and writes stays the same.

create or replace function ledger_append(
    p_project_id text,
    p_at timestamptz,
    p_stream_ids text[],
    p_versions integer[],
    p_event_ids uuid[],
    p_types text[],
    p_data bytea[],
    p_metadata bytea[]
) returns bigint
language plpgsql as $$
declare
    v_head ledger_heads%rowtype;
    v_count constant integer := cardinality(p_stream_ids);
    v_at timestamptz;
    v_at_bytes bytea;
    v_covered bytea;
    v_digest bytea;
    v_digests bytea[] := '{}';
    v_misfit record;
begin
    select * into v_head from ledger_heads where project_id = p_project_id for update;
    if not found then
        raise exception 'project % has no ledger', p_project_id using errcode = 'RC001';
    end if;

    -- Under the head's lock nobody else appends, so what is read here stays true until the commit.
    if 1 = all (p_versions) then
        -- Only new streams. That one begins twice here, the unique key finds.
        select u.stream_id, 1 as first_version, p.version as present into v_misfit
        from unnest(p_stream_ids) as u (stream_id)
        cross join lateral (
            select e.version from events e
            where e.project_id = p_project_id and e.stream_id = u.stream_id and e.version > 0
            order by e.version desc
            limit 1
        ) p
        limit 1;
    else
        select u.stream_id, u.first_version, p.version as present into v_misfit
        from (
            -- Versions that count up in the order of the ledger keep their distance to the number of their row.
            select g.stream_id, min(g.version) as first_version, min(g.distance) as least, max(g.distance) as most
            from (
                select e.stream_id, e.version,
                    e.version - row_number() over (partition by e.stream_id order by e.n) as distance
                from unnest(p_stream_ids, p_versions) with ordinality as e (stream_id, version, n)
            ) g
            group by g.stream_id
        ) u
        left join lateral (
            select e.version from events e
            where e.project_id = p_project_id and e.stream_id = u.stream_id
            order by e.version desc
            limit 1
        ) p on true
        where u.least <> u.most
            or (p.version is null and u.first_version not in (0, 1))
            or p.version <> u.first_version - 1
        limit 1;
    end if;
    if found then
        raise exception 'stream % is at version %, it cannot be continued with version %',
            v_misfit.stream_id, coalesce(v_misfit.present, 0), v_misfit.first_version using errcode = 'RC002';
    end if;

    v_at := greatest(v_head.recorded_at, coalesce(p_at, ledger_now()));
    v_at_bytes := int8send((extract(epoch from v_at) * 1000000)::bigint);
    v_digest := v_head.digest;
    -- What each digest covers beside the one before it is put together for all at once: only the chain needs a loop.
    foreach v_covered in array array(
        select int8send(v_head.position + u.n) || v_at_bytes || int4send(u.version) || uuid_send(u.event_id)
            || int4send(octet_length(u.stream_id)) || convert_to(u.stream_id, 'UTF8')
            || int4send(octet_length(u.type)) || convert_to(u.type, 'UTF8')
            || int4send(octet_length(u.metadata)) || u.metadata
            || u.data
        from unnest(p_stream_ids, p_versions, p_event_ids, p_types, p_data, p_metadata)
            with ordinality as u (stream_id, version, event_id, type, data, metadata, n)
        order by u.n
    )
    loop
        v_digest := sha256(v_digest || v_covered);
        v_digests := v_digests || v_digest;
    end loop;

    insert into events (
        project_id, position, stream_id, version, event_id, type, recorded_at, data, metadata, digest
    )
    select p_project_id, v_head.position + u.n, u.stream_id, u.version, u.event_id, u.type, v_at, u.data, u.metadata,
        u.digest
    from unnest(p_stream_ids, p_versions, p_event_ids, p_types, p_data, p_metadata, v_digests)
        with ordinality as u (stream_id, version, event_id, type, data, metadata, digest, n);

    update ledger_heads
    set position = v_head.position + v_count, digest = v_digest, recorded_at = v_at
    where project_id = p_project_id;
    return v_head.position + v_count;
end
$$;
