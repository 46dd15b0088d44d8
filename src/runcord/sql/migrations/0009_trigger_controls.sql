-- What triggers leave behind for those that come after them, in jobs that debounce, batch, tell payloads apart or limit
-- rates.

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
