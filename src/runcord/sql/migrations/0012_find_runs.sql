-- Lists by a status and something else: whichever is rarer just there leads, instead of a status with few runs.

drop function find_runs(
    text, bigint, integer, text[], boolean, integer, bigint[], bigint[], text, text, text, jsonb, text[], text[], jsonb
);

-- Runs by any combination of filters, newest first, below a position, at most `p_limit`. Candidates come in growing
-- handfuls, the newest first: from the runs of the statuses, from what is filed under all of `p_terms`, or under all of
-- `p_other_terms` if there are any; whichever is rarer just there, so that what is common elsewhere does no harm. Each
-- is then held against everything that was asked. `p_statuses` names all of them where any will do.
--
-- All of it goes by keys, and the plans must not depend on statistics: new tables have none, and a filter may be common
-- among the old runs and unknown to the new ones.
create function find_runs(
    p_project_id text,
    p_before bigint,
    p_limit integer,
    p_statuses text[],
    p_any_status boolean,
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
    v_by_terms constant boolean := cardinality(p_terms) > 0;
    v_by_status boolean := not v_by_terms;
    v_before bigint := p_before;
    -- What is looked at reaches from `v_before` down to here: no further than the area's floor.
    v_from bigint;
    v_status_from bigint;
    v_floor bigint := 0;
    v_terms bigint[];
    v_other_terms bigint[];
    v_rows integer := case when v_by_terms then 8 else p_limit end;
    v_take integer := p_limit;
    v_run_ids text[];
    v_left integer := p_limit;
    v_found integer;
begin
    if v_by_terms then
        v_before := least(p_before, (select h.position from ledger_heads h where h.project_id = p_project_id) + 1);
    end if;

    while v_left > 0 and v_before > 1 loop
        if v_by_terms then
            v_floor := (v_before - 1) >> 21 << 21;
            select greatest(t.o_from, o.o_from), t.o_terms, o.o_terms into v_from, v_terms, v_other_terms
            from leading_terms(p_project_id, p_terms, v_floor, v_before, v_rows) as t
            cross join leading_terms(p_project_id, p_other_terms, v_floor, v_before, v_rows) as o;
        end if;

        if not (v_by_terms and p_any_status) then
            select array_agg(c.run_id), case when count(*) = v_rows then min(c.created_position) else v_floor end
            into v_run_ids, v_status_from
            from (
                select n.run_id, n.created_position
                from unnest(p_statuses) as s (status)
                cross join lateral (
                    select r.run_id, r.created_position
                    from runs r
                    where r.project_id = p_project_id and r.status = s.status
                        and r.created_position >= v_floor and r.created_position < v_before
                    order by r.created_position desc
                    limit v_rows
                ) as n
                order by n.created_position desc
                limit v_rows
            ) as c;
            v_by_status := not v_by_terms or v_status_from < v_from;
        end if;

        if v_by_status then
            v_before := v_status_from;
        else
            select array_agg(e.stream_id), case when count(*) = v_take then min(c.position) else v_from end
            into v_run_ids, v_before
            from (
                select places_of_terms(p_project_id, v_terms, v_from, v_before) as position
                union
                select places_of_terms(p_project_id, v_other_terms, v_from, v_before)
                order by position desc
                limit v_take
            ) as c
            -- A run was created by the first event of its stream.
            join events e on e.project_id = p_project_id and e.position = c.position and e.version = 1;
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
        v_rows := least(v_rows * 2, 256);
    end loop;
end
$$;
