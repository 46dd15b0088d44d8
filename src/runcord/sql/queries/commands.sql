-- What command handlers read under the ledger's lock beyond the states of streams.

-- unfinished_descendants --
-- All runs below some runs that have not ended, each beside the one it is below, nearest first; and each
-- run itself beside none.
with recursive family as (
    select parent_run_id as ancestor, run_id, status, created_position, 1 as depth
    from runs
    where project_id = %(project_id)s and parent_run_id = any (%(run_ids)b)
    union all
    select f.ancestor, r.run_id, r.status, r.created_position, f.depth + 1
    from family f
    join runs r on r.project_id = %(project_id)s and r.parent_run_id = f.run_id
)
(
    select ancestor, run_id
    from family
    where status not in (
        'completed', 'failed', 'timed_out', 'crashed', 'system_failed', 'canceled', 'expired', 'dead_letter'
    )
    order by depth, created_position
)
union all
select unnest(%(run_ids)b::text[]), null;

-- documents --
-- The payloads and the results of some runs.
select run_id, payload, result
from runs
where project_id = %(project_id)s and run_id = any (%(run_ids)b);

-- checkpoint --
-- The checkpoint of a run that has a sequence number.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from events
where project_id = %(project_id)s and stream_id = %(run_id)s and type = 'run.checkpointed.v1'
order by version
limit 1 offset %(skip)s;

-- event --
-- One event of a run.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from events
where project_id = %(project_id)s and stream_id = %(run_id)s and version = %(version)s;

-- result_schemas --
-- The jobs of some runs, as far as they may have a result schema.
select r.run_id, j.state
from runs r
join jobs j on j.project_id = %(project_id)s and j.job_id = r.job_id
where r.project_id = %(project_id)s and r.run_id = any (%(run_ids)s)
    and position('"result_schema":'::bytea in j.state) > 0;

-- job_is_active --
-- Whether a job has runs that have not ended: in the queue, at work, or neither.
select
    exists (
        select from runs
        where project_id = %(project_id)s and job_id = %(job_id)s and status = 'queued'
    )
    or exists (
        select from leases
        where project_id = %(project_id)s and job_id = %(job_id)s
    )
    or exists (
        select from runs
        where project_id = %(project_id)s and job_id = %(job_id)s
            and status in ('delayed', 'waiting', 'paused', 'replay_staged')
    );

-- id_of_slug --
-- The job that has a slug.
select job_id
from jobs
where project_id = %(project_id)s and slug = %(slug)s and not deleted;

-- idempotency_keys --
-- Which runs answer for some keys of a job.
select job_id, key, run_id, fingerprint, expires_at
from idempotency_keys
where project_id = %(project_id)s and job_id = %(job_id)s and key = any (%(keys)s);

-- remember_idempotency_keys --
-- Runs that answer for their keys from now on; all arrays run in parallel.
insert into idempotency_keys (project_id, job_id, key, run_id, fingerprint, expires_at)
select %(project_id)s, u.*
from unnest(
    %(job_ids)b::text[], %(keys)b::text[], %(run_ids)b::text[], %(fingerprints)b::text[],
    %(expires_ats)b::timestamptz[]
) as u
on conflict (project_id, job_id, key) do update
set run_id = excluded.run_id,
    fingerprint = excluded.fingerprint,
    expires_at = excluded.expires_at;

-- forget_idempotency_keys --
-- Keys that their runs gave up; all arrays run in parallel.
delete from idempotency_keys k
using unnest(%(job_ids)b::text[], %(keys)b::text[], %(run_ids)b::text[]) as u (job_id, key, run_id)
where k.project_id = %(project_id)s and k.job_id = u.job_id and k.key = u.key and k.run_id = u.run_id;

-- keep_job_secret --
-- A secret of a job, sealed, in the place of the one that it had.
insert into job_secrets (project_id, job_id, name, sealed)
values (%(project_id)s, %(job_id)s, %(name)s, %(sealed)b)
on conflict (project_id, job_id, name) do update
set sealed = excluded.sealed;

-- forget_job_secrets --
-- Secrets of a job that are needed no more.
delete from job_secrets
where project_id = %(project_id)s and job_id = %(job_id)s and name = any (%(names)s);

-- copy_job_secrets --
-- The secrets of one job, for another as well.
insert into job_secrets (project_id, job_id, name, sealed)
select s.project_id, %(copy_id)s, s.name, s.sealed
from job_secrets s
where s.project_id = %(project_id)s and s.job_id = %(job_id)s;

-- job_secret --
-- A secret of a job, sealed.
select sealed
from job_secrets
where project_id = %(project_id)s and job_id = %(job_id)s and name = %(name)s;
