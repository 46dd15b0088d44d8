-- The generations of projections, and the rows of those that come with Runcord.

create table projections (
    project_id text collate "C" not null references projects,
    name text collate "C" not null,
    generation integer not null,
    version bigint not null,
    status text collate "C" not null,
    position bigint not null default 0,
    target bigint,
    switches boolean not null default false,
    created_at timestamptz not null default clock_timestamp(),
    moved_at timestamptz not null default clock_timestamp(),
    parked_at bigint,
    error text,
    primary key (project_id, name, generation)
) with (fillfactor = 50);
create unique index projections_live on projections (project_id, name) where status = 'live';

create table run_history (
    project_id text collate "C" not null,
    generation integer not null,
    run_id text collate "C" not null,
    created_position bigint not null,
    finished_position bigint,
    span bigint,
    dead_until bigint,
    statuses text[] collate "C" not null,
    positions bigint[] not null,
    primary key (project_id, generation, run_id)
);
-- What is open; and what was at rest at a position, by how it ended, or still open there. The last columns are looked at
-- before the row is: when it came to rest, and when it left its first status (never is late, and not known is early).
create index run_history_open on run_history (
    project_id, generation, created_position desc,
    (case when positions[1] = created_position then coalesce(positions[2], 9223372036854775807) else 0 end)
) where finished_position is null;
create index run_history_rest on run_history (
    project_id, generation, (statuses[cardinality(statuses)]), span, created_position desc, finished_position,
    (case when positions[1] = created_position then coalesce(positions[2], 9223372036854775807) else 0 end)
) where span is not null;
create index run_history_dead on run_history (project_id, generation, created_position desc, dead_until)
    where dead_until is not null;

create table run_snapshots (
    project_id text collate "C" not null,
    generation integer not null,
    run_id text collate "C" not null,
    version bigint not null,
    position bigint not null,
    state bytea not null,
    primary key (project_id, generation, run_id, version)
);

create table tag_index (
    project_id text collate "C" not null,
    generation integer not null,
    tag_key text collate "C" not null,
    tag_value text collate "C" not null,
    area bigint not null,
    counts bigint[] not null,
    positions bigint[] not null,
    moves bigint[] not null,
    primary key (project_id, generation, tag_key, tag_value, area)
);

create table dead_letters (
    project_id text collate "C" not null,
    generation integer not null,
    run_id text collate "C" not null,
    round bigint not null,
    position bigint,
    dead_at timestamptz,
    left_position bigint,
    job_id text collate "C" not null,
    attempts bigint not null,
    fingerprint text collate "C" not null,
    first_error bytea not null,
    last_error bytea not null,
    replays text[] not null,
    replay_positions bigint[] not null,
    primary key (project_id, generation, run_id, round)
);
create index dead_letters_position on dead_letters (project_id, generation, position desc) where position is not null;
create index dead_letters_waiting on dead_letters (project_id, generation, position desc)
    where position is not null and left_position is null;
create index dead_letters_left on dead_letters (project_id, generation, left_position) where left_position is not null;
create index dead_letters_job on dead_letters (project_id, generation, job_id, position desc) where position is not null;
-- All that groups are counted by.
create index dead_letters_fingerprint on dead_letters (project_id, generation, fingerprint, position desc)
    include (left_position, job_id, dead_at)
    where position is not null;

create table lineage (
    project_id text collate "C" not null,
    generation integer not null,
    run_id text collate "C" not null,
    kind text collate "C" not null,
    other_run_id text collate "C" not null,
    position bigint not null,
    primary key (project_id, generation, run_id, kind, other_run_id, position)
);
create index lineage_other on lineage (project_id, generation, other_run_id, kind, position);

create table job_statistics (
    project_id text collate "C" not null,
    generation integer not null,
    job_id text collate "C" not null,
    hour timestamptz not null,
    triggered bigint not null,
    attempts bigint not null,
    completed bigint not null,
    failed bigint not null,
    canceled bigint not null,
    expired bigint not null,
    cost_microusd bigint not null,
    tokens bigint not null,
    work_counts bigint[] not null,
    wait_counts bigint[] not null,
    primary key (project_id, generation, job_id, hour)
);
create index job_statistics_hour on job_statistics (project_id, generation, hour);

create table projection_skips (
    project_id text collate "C" not null,
    projection_id text collate "C" not null,
    version integer not null,
    position bigint not null,
    state bytea not null,
    primary key (project_id, projection_id)
);

-- The generation of a projection that reads go to; it must hold what the events up to a position say.
create function generation_at(p_project_id text, p_name text, p_position bigint) returns integer
language plpgsql stable as $$
declare
    v_generation integer;
begin
    select p.generation into v_generation
    from projections p
    where p.project_id = p_project_id and p.name = p_name and p.position >= p_position
        and p.status = 'live';
    if v_generation is null then
        raise 'the projection % is behind position %', p_name, p_position
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    return v_generation;
end
$$;

-- The newest runs between two positions, the upper one not included, that had one of the statuses when the ledger was at
-- `p_position`; also some of which it is not known, because they have changed too often since.
--
-- A run whose life is of `span` n is at rest after 2^(n-1) to 2^n positions. So of each span, what was at rest came
-- 2^(n-1) positions before or earlier, and what was still open less than 2^n.
create function runs_once_in_status(
    p_project_id text, p_generation integer, p_position bigint, p_statuses text[], p_from bigint, p_before bigint,
    p_rows integer
) returns table (run_id text, created_position bigint)
language plpgsql stable rows 50 as $$
#variable_conflict use_column
declare
    v_at_rest constant text[] := array[
        'completed', 'failed', 'timed_out', 'crashed', 'system_failed', 'canceled', 'expired', 'dead_letter'
    ];
    v_rest constant text[] := array(select s from unnest(p_statuses) as s where s = any (v_at_rest));
    v_open constant text[] := array(select s from unnest(p_statuses) as s where s <> all (v_at_rest));
    v_dead constant boolean := 'dead_letter' = any (p_statuses);
    -- A run begins in one of these statuses: where they are not sought, those that had not left theirs are passed over.
    v_left_first constant bigint := case
        when v_open && array['queued', 'delayed', 'waiting'] then 9223372036854775807
        else p_position
    end;
    v_before constant bigint := least(p_before, p_position + 1);
    -- No life is longer than the ledger.
    v_spans constant integer := (
        select length(ltrim(h.position::bit(64)::text, '0'))
        from ledger_heads h
        where h.project_id = p_project_id
    );
begin
    return query
    select distinct on (c.created_position) c.run_id, c.created_position
    from (
        -- At rest, as they are now.
        select n.run_id, n.created_position
        from unnest(v_rest) as s (status)
        cross join generate_series(0, v_spans) as k (span)
        cross join lateral (
            select h.run_id, h.created_position
            from run_history h
            where h.project_id = p_project_id and h.generation = p_generation
                and h.statuses[cardinality(h.statuses)] = s.status and h.span = k.span
                and h.created_position >= p_from
                and h.created_position < least(v_before, p_position - (1::bigint << k.span >> 1) + 1)
                and h.finished_position <= p_position
            order by h.created_position desc
            limit p_rows
        ) as n
        union all
        -- Open then, and at rest now.
        select n.run_id, n.created_position
        from unnest(v_at_rest) as s (status)
        cross join generate_series(0, v_spans) as k (span)
        cross join lateral (
            select h.run_id, h.created_position
            from run_history h
            where cardinality(v_open) > 0
                and h.project_id = p_project_id and h.generation = p_generation
                and h.statuses[cardinality(h.statuses)] = s.status and h.span = k.span
                and h.created_position >= greatest(p_from, p_position - (1::bigint << k.span) + 1)
                and h.created_position < v_before
                and h.finished_position > p_position
                and case when h.positions[1] = h.created_position
                    then coalesce(h.positions[2], 9223372036854775807) else 0 end <= v_left_first
                and coalesce(h.statuses[width_bucket(p_position, h.positions)] = any (v_open), true)
            order by h.created_position desc
            limit p_rows
        ) as n
        union all
        -- Still open.
        (
            select h.run_id, h.created_position
            from run_history h
            where cardinality(v_open) > 0
                and h.project_id = p_project_id and h.generation = p_generation and h.finished_position is null
                and h.created_position >= p_from and h.created_position < v_before
                and case when h.positions[1] = h.created_position
                    then coalesce(h.positions[2], 9223372036854775807) else 0 end <= v_left_first
                and coalesce(h.statuses[width_bucket(p_position, h.positions)] = any (v_open), true)
            order by h.created_position desc
            limit p_rows
        )
        union all
        -- Dead letters then that left the queue again.
        (
            select h.run_id, h.created_position
            from run_history h
            where v_dead
                and h.project_id = p_project_id and h.generation = p_generation
                and h.created_position >= p_from and h.created_position < v_before
                and h.dead_until > p_position
                and coalesce(h.statuses[width_bucket(p_position, h.positions)] = 'dead_letter', true)
            order by h.created_position desc
            limit p_rows
        )
    ) as c
    order by c.created_position desc
    limit p_rows;
end
$$;

-- Runs that may have met filters when the ledger was at `p_position`: all that did, and some that did not, newest first,
-- below a position, at most `p_limit`. As in `find_runs`, candidates come from the statuses or from the terms, whichever
-- are rarer just there; those of the one are held against the other. Terms are only ever added, so they lead to whatever
-- once had them. Each comes with its latest snapshot up to `p_position`, if it has one.
create function find_past_runs(
    p_project_id text,
    p_position bigint,
    p_before bigint,
    p_limit integer,
    p_statuses text[],
    p_any_status boolean,
    p_terms bigint[],
    p_other_terms bigint[]
) returns table (run_id text, created_position bigint, version bigint, state bytea)
language plpgsql stable rows 50
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    v_generation constant integer := case when p_any_status then null
        else generation_at(p_project_id, 'run_history', p_position) end;
    v_snapshots constant integer := (
        select p.generation from projections p
        where p.project_id = p_project_id and p.name = 'run_snapshots' and p.status = 'live'
    );
    v_by_terms constant boolean := cardinality(p_terms) > 0;
    v_by_status boolean := not v_by_terms;
    v_before bigint := least(p_before, p_position + 1);
    -- What is looked at reaches from `v_before` down to here: no further than the area's floor.
    v_from bigint;
    v_status_from bigint;
    v_floor bigint := 0;
    v_terms bigint[];
    v_other_terms bigint[];
    v_rows integer := case when v_by_terms then 8 else p_limit end;
    v_take integer := p_limit;
    v_run_ids text[];
    v_positions bigint[];
    v_left integer := p_limit;
    v_found_ids text[];
    v_found_positions bigint[];
    v_all_ids text[] := '{}';
    v_all_positions bigint[] := '{}';
begin
    while v_left > 0 and v_before > 1 loop
        if v_by_terms then
            v_floor := (v_before - 1) >> 21 << 21;
            select greatest(t.o_from, o.o_from), t.o_terms, o.o_terms into v_from, v_terms, v_other_terms
            from leading_terms(p_project_id, p_terms, v_floor, v_before, v_rows) as t
            cross join leading_terms(p_project_id, p_other_terms, v_floor, v_before, v_rows) as o;
        end if;

        if not p_any_status then
            select array_agg(c.run_id), array_agg(c.created_position),
                case when count(*) = v_rows then min(c.created_position) else v_floor end
            into v_run_ids, v_positions, v_status_from
            from runs_once_in_status(
                p_project_id, v_generation, p_position, p_statuses, v_floor, v_before, v_rows
            ) as c;
            v_by_status := not v_by_terms or v_status_from < v_from;
        elsif not v_by_terms then
            -- All there are, whatever they are now.
            select array_agg(c.run_id), array_agg(c.created_position),
                case when count(*) = v_rows then min(c.created_position) else 0 end
            into v_run_ids, v_positions, v_status_from
            from (
                select n.run_id, n.created_position
                from unnest(p_statuses) as s (status)
                cross join lateral (
                    select r.run_id, r.created_position
                    from runs r
                    where r.project_id = p_project_id and r.status = s.status and r.created_position < v_before
                    order by r.created_position desc
                    limit v_rows
                ) as n
                order by n.created_position desc
                limit v_rows
            ) as c;
        end if;

        if v_by_status then
            v_before := v_status_from;
            select array_agg(c.run_id), array_agg(c.created_position) into v_found_ids, v_found_positions
            from unnest(v_run_ids, v_positions) as c (run_id, created_position)
            where not v_by_terms
                or exists (
                    select places_of_terms(p_project_id, v_terms, c.created_position, c.created_position + 1)
                    union all
                    select places_of_terms(p_project_id, v_other_terms, c.created_position, c.created_position + 1)
                );
        else
            select array_agg(e.stream_id), array_agg(c.position),
                case when count(*) = v_take then min(c.position) else v_from end
            into v_run_ids, v_positions, v_before
            from (
                select places_of_terms(p_project_id, v_terms, v_from, v_before) as position
                union
                select places_of_terms(p_project_id, v_other_terms, v_from, v_before)
                order by position desc
                limit v_take
            ) as c
            -- A run was created by the first event of its stream.
            join events e on e.project_id = p_project_id and e.position = c.position and e.version = 1;
            select array_agg(c.run_id), array_agg(c.created_position) into v_found_ids, v_found_positions
            from unnest(v_run_ids, v_positions) as c (run_id, created_position)
            left join run_history h
                on h.project_id = p_project_id and h.generation = v_generation and h.run_id = c.run_id
            where p_any_status or coalesce(h.statuses[width_bucket(p_position, h.positions)] = any (p_statuses), true);
        end if;
        v_all_ids := v_all_ids || v_found_ids;
        v_all_positions := v_all_positions || v_found_positions;
        v_left := p_limit - cardinality(v_all_ids);
        v_take := least(v_take * 2, 1024);
        v_rows := least(v_rows * 2, 256);
    end loop;

    return query
    select c.run_id, c.created_position, s.version, s.state
    from unnest(v_all_ids, v_all_positions) as c (run_id, created_position)
    left join lateral (
        select n.version, n.state
        from run_snapshots n
        where n.project_id = p_project_id and n.generation = v_snapshots and n.run_id = c.run_id
            and n.position <= p_position
        order by n.version desc
        limit 1
    ) as s on true
    order by c.created_position desc
    limit p_limit;
end
$$;
