-- The table of job statistics is `job_statistics` in `runcord/sql/schema.sql`.

-- now --
-- The ledger's time.
select ledger_now();

-- jobs --
-- The jobs of which anything happened from one time to before another, in the order of their ids, beyond one.
select distinct s.job_id
from job_statistics s
where s.project_id = %(project_id)s
    and s.generation = (
        select p.generation from projections p
        where p.project_id = %(project_id)s and p.name = 'job_statistics' and p.status = 'live'
    )
    and s.hour >= %(since)s and s.hour < %(until)s and s.job_id > %(after)s
order by s.job_id
limit %(limit)s;

-- hours --
-- The hours of some jobs in which something happened.
select s.job_id, s.hour, s.triggered, s.attempts, s.completed, s.failed, s.canceled, s.expired, s.cost_microusd, s.tokens,
    s.work_counts, s.wait_counts
from job_statistics s
where s.project_id = %(project_id)s
    and s.generation = (
        select p.generation from projections p
        where p.project_id = %(project_id)s and p.name = 'job_statistics' and p.status = 'live'
    )
    and s.job_id = any (%(job_ids)s) and s.hour >= %(since)s and s.hour < %(until)s
order by s.job_id, s.hour;

-- slugs --
-- What some jobs are called now.
select job_id, slug
from jobs
where project_id = %(project_id)s and job_id = any (%(job_ids)s);
