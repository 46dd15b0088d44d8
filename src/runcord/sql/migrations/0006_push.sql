-- Jobs whose runs are sent to an endpoint are known as such without their settings being read.

alter table jobs add column pushed boolean not null default false;

update jobs
set pushed = true
where not deleted
    and convert_from(state, 'UTF8')::jsonb -> 'settings' ->> 'endpoint_url' is not null
    and coalesce(convert_from(state, 'UTF8')::jsonb -> 'settings' ->> 'execution_mode', 'http') = 'http';

drop index jobs_limited;
create index jobs_limited on jobs (project_id)
    where not enabled or pushed or max_concurrency is not null or max_concurrency_per_key is not null;
create index jobs_pushed on jobs (project_id, job_id) where pushed and enabled;
