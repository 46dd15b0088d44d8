-- Lists of runs by any filter: an index of the runs by status for all statuses, and `run_terms` for all that a run is
-- given. Fewer indexes of `runs`, which every update of a run writes anew. What is there already is filed as well.

drop index runs_unusual;
drop index runs_batch;
create index runs_status on runs (project_id, status, created_position desc);

-- What lists find runs by (projections/runcord_projections/run_terms): a term stands for a job, a tag, a value in a
-- payload …, and is filed at the positions of the runs that were triggered with it, or given it later. Only ever added
-- to.
create table run_terms (
    project_id text collate "C" not null,
    -- The area of the position (2^21 of them) in the upper half, so that what is new is written side by side.
    term bigint not null,
    position bigint not null,
    -- At which of this and the next 62 positions: what a commit triggers stands together.
    mask bigint not null,
    primary key (project_id, term, position)
);

-- JSON bytes as a value; null where it holds what PostgreSQL cannot keep (U+0000), so that it equals nothing.
create function json_of(p_json bytea) returns jsonb
language plpgsql immutable strict parallel safe as $$
begin
    return convert_from(p_json, 'UTF8')::jsonb;
exception when untranslatable_character then
    return null;
end
$$;

-- Terms as they are filed in the area of `p_floor`, the rarest below a position first, and how far the next `p_rows`
-- rows of that one reach down: to the floor if there are no more.
create function leading_terms(
    p_project_id text, p_terms bigint[], p_floor bigint, p_before bigint, p_rows integer,
    out o_terms bigint[], out o_from bigint
)
language plpgsql stable as $$
begin
    select array_agg(a.term order by r.reach), coalesce(min(r.reach), p_floor) into o_terms, o_from
    from unnest(p_terms) as u (term)
    cross join lateral (select (p_floor >> 21 << 32) | u.term as term) as a
    cross join lateral (
        select case when count(*) = p_rows then min(n.position) else p_floor end as reach
        from (
            select t.position
            from run_terms t
            where t.project_id = p_project_id and t.term = a.term and t.position < p_before
            order by t.position desc
            limit p_rows
        ) as n
    ) as r;
end
$$;

-- The positions from one up to another, itself not included, at which all of some terms are filed; no terms are filed
-- nowhere. Terms are as `leading_terms` gives them.
create function places_of_terms(p_project_id text, p_terms bigint[], p_from bigint, p_before bigint)
returns setof bigint
language plpgsql stable rows 100 as $$
begin
    return query
    select t.position + n.n
    from run_terms t
    cross join lateral generate_series(0, case when t.mask = 1 then 0 else 62 end) as n (n)
    where t.project_id = p_project_id and t.term = p_terms[1]
        and t.position > p_from - 63 and t.position < p_before
        and (t.mask >> n.n) & 1 = 1 and t.position + n.n >= p_from and t.position + n.n < p_before
        and not exists (
            select from unnest(p_terms[2:]) as u (term)
            where not exists (
                select from run_terms o
                where o.project_id = p_project_id and o.term = u.term
                    and o.position > t.position + n.n - 63 and o.position <= t.position + n.n
                    and (o.mask >> (t.position + n.n - o.position)::integer) & 1 = 1
            )
        );
end
$$;

-- Runs by any combination of filters, newest first, below a position, at most `p_limit`. Candidates come in growing
-- handfuls, the newest first: by their statuses where nothing else is asked or fewer than `p_few` runs have them, else
-- from what is filed under all of `p_terms`, or all of `p_other_terms` if there are any. Each is then held against
-- everything that was asked. `p_statuses` names all of them where any will do.
--
-- All of it goes by keys, and the plans must not depend on statistics: new tables have none, and a filter may be common
-- among the old runs and unknown to the new ones.
create function find_runs(
    p_project_id text,
    p_before bigint,
    p_limit integer,
    p_statuses text[],
    p_any_status boolean,
    p_few integer,
    p_terms bigint[],
    p_other_terms bigint[],
    p_job_id text,
    p_batch_id text,
    p_triggered_by text,
    p_labels jsonb,
    p_tag_keys text[],
    p_metadata_keys text[],
    p_payload jsonb
) returns table (
    run_id text, state bytea, payload bytea, result bytea, "position" bigint, created_position bigint
)
language plpgsql stable rows 50
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_by_status boolean := cardinality(p_terms) = 0;
    v_before bigint := p_before;
    v_floor bigint;
    v_from bigint;
    v_terms bigint[];
    v_other_terms bigint[];
    v_rows integer := 8;
    v_take integer := p_limit;
    v_taken integer;
    v_last bigint;
    v_run_ids text[];
    v_left integer := p_limit;
    v_found integer;
begin
    if not v_by_status then
        if not p_any_status then
            v_by_status := p_few > (
                select count(*) from (
                    select
                    from unnest(p_statuses) as s (status)
                    join runs r on r.project_id = p_project_id and r.status = s.status and r.created_position < p_before
                    limit p_few
                ) as few
            );
        end if;
        v_before := least(p_before, (select h.position from ledger_heads h where h.project_id = p_project_id) + 1);
    end if;

    while v_left > 0 and v_before > 1 loop
        if v_by_status then
            select array_agg(c.run_id), count(*), min(c.created_position) into v_run_ids, v_taken, v_before
            from (
                select n.run_id, n.created_position
                from unnest(p_statuses) as s (status)
                cross join lateral (
                    select r.run_id, r.created_position
                    from runs r
                    where r.project_id = p_project_id and r.status = s.status and r.created_position < v_before
                    order by r.created_position desc
                    limit v_take
                ) as n
                order by n.created_position desc
                limit v_take
            ) as c;
            if v_taken < v_take then
                v_before := 0;
            end if;
        else
            v_floor := (v_before - 1) >> 21 << 21;
            select greatest(t.o_from, o.o_from), t.o_terms, o.o_terms into v_from, v_terms, v_other_terms
            from leading_terms(p_project_id, p_terms, v_floor, v_before, v_rows) as t
            cross join leading_terms(p_project_id, p_other_terms, v_floor, v_before, v_rows) as o;
            select array_agg(e.stream_id), count(*), min(c.position) into v_run_ids, v_taken, v_last
            from (
                select places_of_terms(p_project_id, v_terms, v_from, v_before) as position
                union
                select places_of_terms(p_project_id, v_other_terms, v_from, v_before)
                order by position desc
                limit v_take
            ) as c
            -- A run was created by the first event of its stream.
            join events e on e.project_id = p_project_id and e.position = c.position and e.version = 1;
            v_before := case when v_taken = v_take then v_last else v_from end;
            v_rows := least(v_rows * 2, 256);
        end if;

        return query
        select r.run_id, r.state, r.payload, r.result, r.position, r.created_position
        from unnest(v_run_ids) as c (run_id)
        join runs r on r.project_id = p_project_id and r.run_id = c.run_id
        -- Nearly all JSON can be read without being ready for what cannot.
        cross join lateral (
            select case when position('\x5c7530303030'::bytea in r.state) = 0
                    then convert_from(r.state, 'UTF8')::jsonb else json_of(r.state) end as state,
                case when position('\x5c7530303030'::bytea in r.payload) = 0
                    then convert_from(r.payload, 'UTF8')::jsonb else json_of(r.payload) end as payload
        ) as j
        where r.created_position < p_before
            and (p_any_status or r.status = any (p_statuses))
            and (p_job_id is null or r.job_id = p_job_id)
            and (p_batch_id is null or r.batch_id = p_batch_id)
            and (p_triggered_by is null or r.triggered_by = p_triggered_by)
            and (p_labels is null or j.state @> p_labels)
            and (p_tag_keys is null or j.state -> 'tags' ?& p_tag_keys)
            and (p_metadata_keys is null or j.state -> 'metadata' ?& p_metadata_keys)
            and (p_payload is null or j.payload @> p_payload)
        order by r.created_position desc
        limit v_left;
        get diagnostics v_found = row_count;
        v_left := v_left - v_found;
        v_take := least(v_take * 2, 1024);
    end loop;
end
$$;

-- --- what is there already --------------------------------------------------------------------------
-- The terms as `runcord_projections.run_terms.terms` makes them; these functions are of no further use.

-- What each byte does to a CRC-32.
create function filing_table() returns bigint[]
language plpgsql immutable as $$
declare
    v_table bigint[];
    v_crc bigint;
begin
    for v_byte in 0 .. 255 loop
        v_crc := v_byte;
        for v_bit in 1 .. 8 loop
            v_crc := case when v_crc & 1 = 1 then (v_crc >> 1) # 3988292384 else v_crc >> 1 end;
        end loop;
        v_table[v_byte + 1] := v_crc;
    end loop;
    return v_table;
end
$$;

create function filing_crc(p_bytes bytea, p_start bigint default 0) returns bigint
language plpgsql immutable strict as $$
declare
    v_crc bigint := p_start # 4294967295;
begin
    for v_at in 0 .. octet_length(p_bytes) - 1 loop
        v_crc := (v_crc >> 8) # (filing_table())[((v_crc # get_byte(p_bytes, v_at)) & 255) + 1];
    end loop;
    return v_crc # 4294967295;
end
$$;

create function filing_payload(p_payload jsonb) returns bigint[]
language plpgsql immutable strict as $$
declare
    v_terms constant bigint[] := array(
        with recursive parts as (
            select p_payload as value, filing_crc('payload') as path
            union all
            select inner_parts.*
            from parts
            cross join lateral (
                select value, filing_crc(convert_to(key, 'UTF8'), parts.path # 1)
                from jsonb_each(case jsonb_typeof(parts.value) when 'object' then parts.value else '{}' end)
                union all
                select value, parts.path
                from jsonb_array_elements(case jsonb_typeof(parts.value) when 'array' then parts.value else '[]' end)
            ) as inner_parts
        )
        select distinct
            case jsonb_typeof(value)
                when 'object' then filing_crc('{', path)
                when 'array' then filing_crc('[', path)
                when 'string' then filing_crc(convert_to(value #>> '{}', 'UTF8'), path # 2)
                when 'number' then filing_crc(float8send((value #>> '{}')::float8), path # 3)
                when 'boolean' then filing_crc(case when value::boolean then 't'::bytea else 'f' end, path)
                else filing_crc('n', path)
            end
        from parts
    );
begin
    return case when cardinality(v_terms) > 512 then array[filing_crc('large payload')] else v_terms end;
end
$$;

create function filing_labels(p_kind bytea, p_labels jsonb) returns bigint[]
language plpgsql immutable strict as $$
begin
    return array(
        select unnest(array[k.term, filing_crc('\x00'::bytea || convert_to(l.value, 'UTF8'), k.term)])
        from jsonb_each_text(p_labels) as l
        cross join lateral (select filing_crc(p_kind || convert_to(l.key, 'UTF8')) as term offset 0) as k
    );
end
$$;

create function filing_run(p_run runs) returns bigint[]
language plpgsql immutable as $$
declare
    v_state constant jsonb := json_of(p_run.state);
begin
    return array[filing_crc(convert_to('job', 'UTF8') || '\x00' || convert_to(p_run.job_id, 'UTF8'))]
        || filing_crc(convert_to('trigger', 'UTF8') || '\x00' || convert_to(p_run.triggered_by, 'UTF8'))
        || filing_crc(convert_to('batch', 'UTF8') || '\x00' || convert_to(p_run.batch_id, 'UTF8'))
        || filing_payload(json_of(p_run.payload))
        || filing_labels('tag\000', v_state -> 'tags')
        || filing_labels('metadata\000', v_state -> 'metadata');
end
$$;

-- A row for each term in each 63 positions of an area, a thousand times 63 positions at a time: each time found by
-- `runs_created`, so that nothing large is sorted.
do $$
declare
    v_project_id text;
    v_head bigint;
begin
    set local enable_seqscan = off;
    for v_project_id, v_head in select h.project_id, h.position from ledger_heads h loop
        for v_from in 0 .. v_head by 63000 loop
            insert into run_terms (project_id, term, position, mask)
            select v_project_id, (b.first >> 21 << 32) | t.term, b.first,
                bit_or(1::bigint << (r.created_position - b.first)::integer)
            from runs r
            cross join lateral (
                select r.created_position - (r.created_position & 2097151) % 63 as first
            ) as b
            cross join lateral unnest(filing_run(r)) as t (term)
            where r.project_id = v_project_id
                and r.created_position >= v_from and r.created_position < v_from + 63000
                and t.term is not null
            group by b.first, t.term
            on conflict (project_id, term, position) do update
            set mask = run_terms.mask | excluded.mask;
        end loop;
    end loop;
end
$$;

drop index runs_created;
drop function filing_run(runs);
drop function filing_labels(bytea, jsonb);
drop function filing_payload(jsonb);
drop function filing_crc(bytea, bigint);
drop function filing_table();
