-- How jobs fare.

-- health --
-- How the runs of a job ended within the last seconds, and how long those that completed had worked.
select
    ledger_now() - make_interval(secs => %(secs)s) as since,
    count(*) as total_runs,
    count(*) filter (where status = 'completed') as completed_runs,
    count(*) filter (where status = 'failed') as failed_runs,
    count(*) filter (where status = 'dead_letter') as dead_letter_runs,
    count(*) filter (where status = 'timed_out') as timed_out_runs,
    count(*) filter (where status = 'crashed') as crashed_runs,
    count(*) filter (where status = 'system_failed') as system_failed_runs,
    count(*) filter (where status = 'canceled') as canceled_runs,
    count(*) filter (where status = 'expired') as expired_runs,
    (avg(work_ms) filter (where status = 'completed'))::float8 / 1000 as avg_duration_secs,
    (percentile_cont(0.95) within group (order by work_ms) filter (where status = 'completed')) / 1000
        as p95_duration_secs
from runs
where project_id = %(project_id)s and job_id = %(job_id)s
    and finished_at >= ledger_now() - make_interval(secs => %(secs)s);
