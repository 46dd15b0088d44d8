-- The table of job statistics is `job_statistics` in `runcord/sql/schema.sql`.

-- now --
-- The ledger's time.
select ledger_now();

-- totals --
-- The sums over the hours from one time to before another, job by job in the order of their ids, beyond one; of one job, if
-- asked. The counts of durations are summed bucket by bucket.
with jobs_shown as (
    select distinct s.job_id
    from job_statistics s
    where s.project_id = %(project_id)s
        and s.generation = (
            select p.generation from projections p
            where p.project_id = %(project_id)s and p.name = 'job_statistics' and p.status = 'live'
        )
        and s.hour >= %(since)s and s.hour < %(until)s
        and (%(job_id)s::text is null or s.job_id = %(job_id)s) and s.job_id > %(after)s
    order by s.job_id
    limit %(limit)s
),
hours as materialized (
    select s.*
    from jobs_shown
    join job_statistics s on s.project_id = %(project_id)s and s.job_id = jobs_shown.job_id
    where s.generation = (
            select p.generation from projections p
            where p.project_id = %(project_id)s and p.name = 'job_statistics' and p.status = 'live'
        )
        and s.hour >= %(since)s and s.hour < %(until)s
),
work as (
    select job_id, array_agg(count order by bucket) as counts
    from (
        select h.job_id, b.bucket, sum(b.count)::bigint as count
        from hours h
        cross join lateral unnest(h.work_counts) with ordinality as b (count, bucket)
        group by h.job_id, b.bucket
    ) as buckets
    group by job_id
),
wait as (
    select job_id, array_agg(count order by bucket) as counts
    from (
        select h.job_id, b.bucket, sum(b.count)::bigint as count
        from hours h
        cross join lateral unnest(h.wait_counts) with ordinality as b (count, bucket)
        group by h.job_id, b.bucket
    ) as buckets
    group by job_id
)
select h.job_id, %(since)s::timestamptz as hour, sum(h.triggered)::bigint as triggered, sum(h.attempts)::bigint as attempts,
    sum(h.completed)::bigint as completed, sum(h.failed)::bigint as failed, sum(h.canceled)::bigint as canceled,
    sum(h.expired)::bigint as expired, sum(h.cost_microusd)::bigint as cost_microusd, sum(h.tokens)::bigint as tokens,
    coalesce(work.counts, '{}') as work_counts, coalesce(wait.counts, '{}') as wait_counts
from hours h
left join work on work.job_id = h.job_id
left join wait on wait.job_id = h.job_id
group by h.job_id, work.counts, wait.counts
order by h.job_id;

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
