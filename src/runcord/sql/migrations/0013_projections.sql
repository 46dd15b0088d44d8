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
    was_dead_letter boolean not null,
    statuses text[] not null,
    positions bigint[] not null,
    primary key (project_id, generation, run_id)
);
create index run_history_open on run_history (project_id, generation, created_position desc)
    where finished_position is null;
create index run_history_span on run_history (project_id, generation, span, created_position desc)
    where span is not null;
create index run_history_dead on run_history (project_id, generation, created_position desc)
    where was_dead_letter;

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
    replayed_as text collate "C",
    primary key (project_id, generation, run_id, round)
);
create index dead_letters_position on dead_letters (project_id, generation, position desc) where position is not null;
create index dead_letters_fingerprint on dead_letters (project_id, generation, fingerprint, position desc)
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
