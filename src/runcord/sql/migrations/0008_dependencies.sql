-- Dependencies between jobs, and the endings of runs.

alter table ledger_heads add column dependencies_position bigint not null default 0;

alter table runs add column finished_at timestamptz;
alter table runs add column work_ms integer;

-- What has ended already: as the run view would have written it.
update runs r
set finished_at = s.finished_at,
    -- One that ended without having begun has worked for no time at all.
    work_ms = case when s.started_at is not null then
        least(floor(extract(epoch from s.finished_at - s.started_at) * 1000), 2147483647)::integer
    end
from (
    select project_id, run_id, (state ->> 'finished_at')::timestamptz as finished_at,
        (state ->> 'started_at')::timestamptz as started_at
    from (select project_id, run_id, convert_from(state, 'UTF8')::jsonb as state from runs) as decoded
) as s
where r.project_id = s.project_id and r.run_id = s.run_id and s.finished_at is not null;

-- The endings of a job: its health, and what other jobs depend on. A run comes in once, when it ends.
create index runs_ended on runs (project_id, job_id, finished_at) include (status, work_ms)
    where finished_at is not null;

alter table jobs add column depending boolean not null default false;
-- The jobs that depend on others.
create index jobs_depending on jobs (project_id) where depending;

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
