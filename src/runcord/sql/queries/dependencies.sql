-- Dependencies between jobs: what depends on what, how runs ended last, and which runs are held back.

-- depending_jobs --
-- The jobs that depend on others.
select state
from jobs
where project_id = %(project_id)s and depending;

-- job --
-- One job, deleted or not.
select state
from jobs
where project_id = %(project_id)s and job_id = %(job_id)s;

-- endings --
-- The latest endings of jobs, of runs with given keys; all arrays run in parallel.
select e.job_id, e.match, e.key, e.run_id, e.status
from unnest(%(job_ids)s::text[], %(matches)s::text[], %(keys)s::text[]) as wanted (job_id, match, key)
join upstream_endings e
    on e.project_id = %(project_id)s and e.job_id = wanted.job_id and e.match = wanted.match and e.key = wanted.key;

-- record_endings --
-- Endings that are the latest ones of a job now, and of its runs with some keys; arrays run in parallel.
insert into upstream_endings (project_id, job_id, match, key, run_id, status)
select %(project_id)s, u.*
from unnest(
    %(job_ids)s::text[], %(matches)s::text[], %(keys)s::text[], %(run_ids)s::text[], %(statuses)s::text[]
) as u
on conflict (project_id, job_id, match, key) do update
set run_id = excluded.run_id,
    status = excluded.status;

-- forget_endings --
-- The endings of a job that nobody depends on any more.
delete from upstream_endings
where project_id = %(project_id)s and job_id = %(job_id)s;

-- recent_endings --
-- The runs of a job that ended last, latest first.
select run_id, status, state, payload
from runs
where project_id = %(project_id)s and job_id = %(job_id)s and finished_at is not null
order by finished_at desc, position desc
limit %(limit)s;

-- held --
-- Runs that are held back, the oldest of each job and key; all arrays run in parallel.
select wanted.job_id, wanted.match, wanted.key, w.run_id
from unnest(%(job_ids)s::text[], %(matches)s::text[], %(keys)s::text[]) as wanted (job_id, match, key)
cross join lateral (
    select d.run_id
    from dependency_waits d
    where d.project_id = %(project_id)s and d.job_id = wanted.job_id and d.match = wanted.match
        and d.key = wanted.key and d.released_at is null
    order by d.run_id
    limit %(limit)s
) w;

-- held_keys --
-- For which keys runs of a job are held back.
select distinct match, key
from dependency_waits
where project_id = %(project_id)s and job_id = %(job_id)s and released_at is null;

-- release_later --
-- The rest of the runs of a job with a key: the scheduler queues them.
update dependency_waits
set released_at = ledger_now()
where project_id = %(project_id)s and job_id = %(job_id)s and match = %(match)s and key = %(key)s
    and released_at is null;

-- hold --
-- Runs that are held back from now on; all arrays run in parallel.
insert into dependency_waits (project_id, job_id, match, key, run_id)
select %(project_id)s, u.*
from unnest(%(job_ids)b::text[], %(matches)b::text[], %(keys)b::text[], %(run_ids)b::text[]) as u;

-- let_go --
-- Runs that are held back no more; all arrays run in parallel.
delete from dependency_waits d
using unnest(%(job_ids)b::text[], %(matches)b::text[], %(keys)b::text[], %(run_ids)b::text[])
    as u (job_id, match, key, run_id)
where d.project_id = %(project_id)s and d.job_id = u.job_id and d.match = u.match and d.key = u.key
    and d.run_id = u.run_id;
