-- The whole truth about Runcord's database. `sql/migrations/` leads here from every earlier schema; a test builds
-- one database from this file and one from the migrations and compares them.
--
-- Every table belongs to a project: `project_id` leads every primary and unique key, so that the same schema can be
-- distributed by `project_id` (Citus). No sequences, no triggers, no extensions; keys compare bytewise.
--
--   projects          who has a ledger here
--   api_keys          an inline view: who may speak for a project
--   api_key_hashes    what keys are found by: the one thing about them that the ledger does not hold; and the keys
--                     that clients sign tokens with, sealed with the installation's secret
--   spent_tokens      which public tokens for one use were used, until they expire
--   ledger_heads      the tip of each ledger: its lock, its counter and the last digest of its chain; and where
--                     dependencies between jobs changed last, so that what is remembered of them can be trusted
--   events            the ledgers themselves: append-only, written by ledger_append() alone
--   runs, jobs        inline views: the state that commands are decided on, written in the command's transaction
--   job_secrets       what jobs sign with and may not be told: sealed with the installation's secret
--   run_terms         an inline projection: where to look for the runs of a job, a batch, a tag, a payload …
--   bulk_operations   inline view: operations on many runs, and how far they have come
--   batches           inline view: what was triggered at once
--   uploads           large payloads, from their upload to the trigger that names them, for a day at most
--   leases            the live attempts and until when their workers may work on them
--   idempotency_keys  which run answers for a key, and until when
--   event_waits       which run waits, or waited, for an event key
--   chunk_heads       how many chunks each run has streamed: its counter, never taken back
--   run_chunks        the chunks themselves: not a part of the record, and removed when they are old
--   upstream_endings  how runs of the jobs that others depend on ended last
--   dependency_waits  which runs are held back until dependencies of their job are met
--   trigger_windows   which delayed run gathers the triggers of a debounce or batch key
--   recent_payloads   which run answers for a payload, in jobs that make one run of the same payload for a while
--   trigger_counts    how many triggers were let in and when, in jobs with a rate limit
--   projections       the generations of each projection, and how far each has come
--   projection_skips  inline view: which events projections pass over
--   run_history, run_snapshots, tag_index, dead_letters, lineage, job_statistics: rows of projections
--   server_secrets    not a project's: what this installation signs run tokens with

create table projects (
    project_id text collate "C" not null primary key,
    name text not null,
    created_at timestamptz not null default clock_timestamp()
);

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

create table api_key_hashes (
    project_id text collate "C" not null,
    key_id text collate "C" not null,
    key_hash bytea not null,
    sealed bytea,
    primary key (project_id, key_id)
);
create index api_key_hashes_hash on api_key_hashes (key_hash);
create index api_key_hashes_sealed on api_key_hashes (project_id) where sealed is not null;

create table spent_tokens (
    project_id text collate "C" not null,
    token_hash bytea not null,
    request_key text,
    expires_at timestamptz not null,
    primary key (project_id, token_hash)
);
create index spent_tokens_expiry on spent_tokens (expires_at);

create table server_secrets (
    name text collate "C" not null primary key,
    secret bytea not null
);

create table ledger_heads (
    project_id text collate "C" not null primary key references projects,
    position bigint not null default 0,
    digest bytea not null,
    recorded_at timestamptz not null default '-infinity',
    dependencies_position bigint not null default 0
) with (fillfactor = 10);

create table events (
    project_id text collate "C" not null,
    position bigint not null,
    stream_id text collate "C" not null,
    version integer not null,
    event_id uuid not null,
    type text collate "C" not null,
    recorded_at timestamptz not null,
    data bytea not null,
    metadata bytea not null,
    digest bytea not null,
    primary key (project_id, position),
    unique (project_id, stream_id, version)
);

-- Every event as JSON, for anyone with psql.
create view event_log as
select
    project_id,
    position,
    stream_id,
    version,
    event_id,
    type,
    recorded_at,
    convert_from(data, 'UTF8')::jsonb as data,
    convert_from(metadata, 'UTF8')::jsonb as metadata,
    encode(digest, 'hex') as digest
from events;

create table runs (
    project_id text collate "C" not null,
    run_id text collate "C" not null,
    version integer not null,
    position bigint not null,
    created_position bigint not null,
    status text collate "C" not null,
    job_id text collate "C" not null,
    queue text collate "C" not null,
    priority smallint not null,
    due_at timestamptz not null,
    wake_at timestamptz,
    concurrency_key text collate "C",
    parent_run_id text collate "C",
    batch_id text collate "C",
    triggered_by text collate "C" not null,
    state bytea not null,
    payload bytea,
    result bytea,
    finished_at timestamptz,
    work_ms integer,
    primary key (project_id, run_id)
);
-- Claims: the queue of one job in its order.
create index runs_ready on runs (project_id, job_id, priority desc, due_at, created_position) where status = 'queued';
-- The scheduler: what has to be woken next, in all projects.
create index runs_wake on runs (wake_at) where wake_at is not null;
-- Lists, newest first: of one status, or merged from several or all. An update of a run writes all its indexes anew, so
-- there are no more than these: whatever never changes is found by `run_terms`.
create index runs_status on runs (project_id, status, created_position desc);
create index runs_children on runs (project_id, parent_run_id, created_position) where parent_run_id is not null;

-- The endings of a job: its health, and what other jobs depend on. A run comes in once, when it ends.
create index runs_ended on runs (project_id, job_id, finished_at) include (status, work_ms)
    where finished_at is not null;

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

create table jobs (
    project_id text collate "C" not null,
    job_id text collate "C" not null,
    version integer not null,
    position bigint not null,
    created_position bigint not null,
    slug text collate "C" not null,
    deleted boolean not null,
    enabled boolean not null,
    max_concurrency integer,
    max_concurrency_per_key integer,
    version_policy text collate "C" not null,
    state bytea not null,
    pushed boolean not null default false,
    depending boolean not null default false,
    primary key (project_id, job_id)
);
-- Claims: the jobs that may be closed to them.
create index jobs_limited on jobs (project_id)
    where not enabled or pushed or max_concurrency is not null or max_concurrency_per_key is not null;
-- Dispatchers: the jobs whose runs are sent to an endpoint, in all projects.
create index jobs_pushed on jobs (project_id, job_id) where pushed and enabled;
-- The jobs that depend on others.
create index jobs_depending on jobs (project_id) where depending;
create unique index jobs_slug on jobs (project_id, slug) where not deleted;
create index jobs_created on jobs (project_id, created_position desc) where not deleted;

-- No view: secrets are in no event. Sealed as `runcord.handling.job_secrets` says.
create table job_secrets (
    project_id text collate "C" not null,
    job_id text collate "C" not null,
    name text collate "C" not null,
    sealed bytea not null,
    primary key (project_id, job_id, name)
);

create table bulk_operations (
    project_id text collate "C" not null,
    operation_id text collate "C" not null,
    version integer not null,
    position bigint not null,
    created_position bigint not null,
    status text collate "C" not null,
    state bytea not null,
    primary key (project_id, operation_id)
);
create index bulk_operations_created on bulk_operations (project_id, created_position desc);
-- The runner: what is left to do, in all projects.
create index bulk_operations_active on bulk_operations (created_position) where status in ('pending', 'running');

create table batches (
    project_id text collate "C" not null,
    batch_id text collate "C" not null,
    version integer not null,
    position bigint not null,
    state bytea not null,
    primary key (project_id, batch_id)
);
create index batches_position on batches (project_id, position desc);

create table uploads (
    project_id text collate "C" not null,
    path text collate "C" not null,
    content_type text not null,
    data bytea not null,
    expires_at timestamptz not null,
    primary key (project_id, path)
);

create table leases (
    project_id text collate "C" not null,
    run_id text collate "C" not null,
    fence integer not null,
    attempt integer not null,
    worker_id text not null,
    job_id text collate "C" not null,
    concurrency_key text collate "C",
    expires_at timestamptz not null,
    timeout_at timestamptz,
    primary key (project_id, run_id)
) with (fillfactor = 70);
create index leases_slots on leases (project_id, job_id, concurrency_key);
create index leases_deadline on leases (least(expires_at, timeout_at));

create table idempotency_keys (
    project_id text collate "C" not null,
    job_id text collate "C" not null,
    key text collate "C" not null,
    run_id text collate "C" not null,
    fingerprint text not null,
    expires_at timestamptz not null,
    primary key (project_id, job_id, key)
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);

create table event_waits (
    project_id text collate "C" not null,
    event_key text collate "C" not null,
    run_id text collate "C" not null,
    trigger_id text collate "C" not null,
    status text collate "C" not null,
    waits_until timestamptz,
    settled_at timestamptz,
    payload bytea,
    position bigint not null,
    requested_at timestamptz not null,
    sent_by text,
    notify_url text,
    primary key (project_id, event_key)
);
create index event_waits_position on event_waits (project_id, position desc);
create index event_waits_status on event_waits (project_id, status, position desc);
-- Sending to a prefix: who waits now, however many have waited.
create index event_waits_waiting on event_waits (project_id, event_key) where status = 'waiting';

create table chunk_heads (
    project_id text collate "C" not null,
    run_id text collate "C" not null,
    sequence bigint not null,
    primary key (project_id, run_id)
) with (fillfactor = 50);

create table run_chunks (
    project_id text collate "C" not null,
    run_id text collate "C" not null,
    sequence bigint not null,
    stream_id text collate "C" not null,
    done boolean not null,
    attempt integer not null,
    recorded_at timestamptz not null,
    chunk bytea not null,
    writer text collate "C",
    writer_index bigint,
    primary key (project_id, run_id, sequence)
);
-- A writer that is cut off sends again what it does not know to be here; each chunk counts once.
create unique index run_chunks_writer on run_chunks (project_id, run_id, stream_id, writer, writer_index)
    where writer is not null;
-- Retention. Rows come in the order of their times, so that this stays a few pages however many there are.
create index run_chunks_recorded on run_chunks using brin (recorded_at);

-- The latest ending of each job that others depend on, and of its runs with each key.
create table upstream_endings (
    project_id text collate "C" not null,
    job_id text collate "C" not null,
    match text collate "C" not null,
    key text collate "C" not null,
    run_id text collate "C" not null,
    status text collate "C" not null,
    primary key (project_id, job_id, match, key)
);

-- The runs that are held back. `released_at` is set where their dependencies are met and the scheduler has to queue
-- them: an ending queues only so many by itself.
create table dependency_waits (
    project_id text collate "C" not null,
    job_id text collate "C" not null,
    match text collate "C" not null,
    key text collate "C" not null,
    run_id text collate "C" not null,
    released_at timestamptz,
    primary key (project_id, job_id, match, key, run_id)
);
create index dependency_waits_released on dependency_waits (released_at) where released_at is not null;

create table trigger_windows (
    project_id text collate "C" not null,
    job_id text collate "C" not null,
    kind text collate "C" not null,
    key text collate "C" not null,
    run_id text collate "C" not null,
    primary key (project_id, job_id, kind, key)
);

create table recent_payloads (
    project_id text collate "C" not null,
    job_id text collate "C" not null,
    payload_hash text collate "C" not null,
    run_id text collate "C" not null,
    expires_at timestamptz not null,
    primary key (project_id, job_id, payload_hash)
);
create index recent_payloads_expiry on recent_payloads (expires_at);

-- One row for the triggers of a job that were let in at one time; `total` counts them from the oldest row on.
create table trigger_counts (
    project_id text collate "C" not null,
    job_id text collate "C" not null,
    triggered_at timestamptz not null,
    count integer not null,
    total bigint not null,
    expires_at timestamptz not null,
    primary key (project_id, job_id, triggered_at)
);
create index trigger_counts_expiry on trigger_counts (expires_at);

-- The generations of projections: one is live, which is what reads go to; others are being built beside it.
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
-- What somebody has to go on with, found again and again in all projects.
create index projections_unfinished on projections (status) where status in ('building', 'ready', 'dropping');

-- The rows of the projections that come with Runcord (projections/runcord_projections), by generation.
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
    changes bytea not null,
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

-- The time of the ledgers. A session may set `runcord.now` to run at another time: tests do.
create function ledger_now() returns timestamptz
language plpgsql stable parallel safe as $$
begin
    return coalesce(nullif(current_setting('runcord.now', true), '')::timestamptz, clock_timestamp());
end
$$;

-- Opens the ledger of a project. The chain begins with a digest of the project's name.
create function ledger_open(p_project_id text) returns void
language plpgsql as $$
begin
    insert into ledger_heads (project_id, digest)
    values (p_project_id, sha256(convert_to('runcord ledger of ' || p_project_id, 'UTF8')))
    on conflict do nothing;
end
$$;

-- The one door to the log. Gives positions and times, chains the digests and inserts the events, all or none.
-- The arrays run in parallel, one element an event, in the order of the ledger. `p_at` is the time that the events
-- were decided at; it is moved forward if the ledger has seen a later one. Returns the last position.
--
-- Errors: RC001 no such ledger, RC002 a stream is not at the version before the first one given for it.
create function ledger_append(
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
    v_count constant integer := cardinality(p_stream_ids);
    v_position bigint;
    v_at timestamptz;
    v_at_bytes bytea;
    v_digest bytea;
    v_digests bytea[] := '{}';
    v_misfit record;
begin
    select h.position, h.recorded_at, h.digest into v_position, v_at, v_digest
    from ledger_heads h
    where h.project_id = p_project_id
    for update;
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

    v_at := greatest(v_at, coalesce(p_at, ledger_now()));
    v_at_bytes := int8send((extract(epoch from v_at) * 1000000)::bigint);
    -- Expressions, and no query: beginning one costs as much as some events.
    for n in 1 .. v_count loop
        v_digest := sha256(
            v_digest
            || int8send(v_position + n) || v_at_bytes || int4send(p_versions[n]) || uuid_send(p_event_ids[n])
            || int4send(octet_length(p_stream_ids[n])) || convert_to(p_stream_ids[n], 'UTF8')
            || int4send(octet_length(p_types[n])) || convert_to(p_types[n], 'UTF8')
            || int4send(octet_length(p_metadata[n])) || p_metadata[n]
            || p_data[n]
        );
        v_digests[n] := v_digest;
    end loop;

    insert into events (
        project_id, position, stream_id, version, event_id, type, recorded_at, data, metadata, digest
    )
    -- Beside one another, arrays are taken apart at half the cost of a function in `from` for each.
    select p_project_id, generate_series(v_position + 1, v_position + v_count), unnest(p_stream_ids),
        unnest(p_versions), unnest(p_event_ids), unnest(p_types), v_at, unnest(p_data), unnest(p_metadata),
        unnest(v_digests);

    update ledger_heads
    set position = v_position + v_count, digest = v_digest, recorded_at = v_at
    where project_id = p_project_id;
    return v_position + v_count;
end
$$;

-- The runs that may be claimed now, in the queue's order, at most `p_limit`: priority descending, then the time at
-- which the run became due, then the order of triggering. `p_closed_keys` are the (job, concurrency key) pairs that may
-- take no more, as 'job_id/key'. Jobs are visited one by one by skipping through the index, so that what a full or
-- disabled job has queued is never read.
create function claim_candidates(
    p_project_id text,
    p_at timestamptz,
    p_limit integer,
    p_job_ids text[],
    p_queues text[],
    p_closed_job_ids text[],
    p_closed_keys text[]
) returns table (
    run_id text, version integer, state bytea, payload bytea, job_id text, concurrency_key text, priority smallint,
    due_at timestamptz, created_position bigint
)
language plpgsql stable rows 100 as $$
#variable_conflict use_column
declare
    v_job text := '';
    v_priority smallint;
begin
    loop
        -- The next lower priority of this job that has anything queued, else the next job.
        if v_priority is not null then
            v_priority := (
                select r.priority from runs r
                where r.project_id = p_project_id and r.status = 'queued' and r.job_id = v_job
                    and r.priority < v_priority
                order by r.priority desc
                limit 1
            );
        end if;
        if v_priority is null then
            select r.job_id, r.priority into v_job, v_priority from runs r
            where r.project_id = p_project_id and r.status = 'queued' and r.job_id > v_job
            order by r.job_id, r.priority desc
            limit 1;
            exit when not found;
            if v_job = any (p_closed_job_ids) or (p_job_ids is not null and v_job <> all (p_job_ids)) then
                v_priority := null;
                continue;
            end if;
        end if;
        return query
        select r.run_id, r.version, r.state, r.payload, r.job_id, r.concurrency_key, r.priority, r.due_at,
            r.created_position
        from runs r
        where r.project_id = p_project_id and r.status = 'queued' and r.job_id = v_job and r.priority = v_priority
            and r.due_at <= p_at
            and (r.wake_at is null or r.wake_at > p_at)  -- its time to live is not over
            and (p_queues is null or r.queue = any (p_queues))
            and (r.concurrency_key is null or r.job_id || '/' || r.concurrency_key <> all (p_closed_keys))
        order by r.due_at, r.created_position
        limit p_limit;
    end loop;
end
$$;

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

-- History is never edited: not even the owner of the tables may.
revoke all on events, ledger_heads from public;
do $$
begin
    execute format('revoke update, delete, truncate on events from %I', current_user);
end
$$;
