-- Secrets of jobs, outside the ledger.

-- No view: secrets are in no event. Sealed as `runcord.handling.job_secrets` says.
create table job_secrets (
    project_id text collate "C" not null,
    job_id text collate "C" not null,
    name text collate "C" not null,
    sealed bytea not null,
    primary key (project_id, job_id, name)
);
