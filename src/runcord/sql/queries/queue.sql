-- claim_candidates --
-- Runs that may be claimed now, in the queue's order, with the limits of their jobs. Now is the ledger's time, which may
-- be ahead of a clock that was set back: runs are due at that time when they are triggered.
select
    c.run_id,
    c.version,
    c.state,
    c.payload,
    c.job_id,
    c.concurrency_key,
    j.max_concurrency,
    case when j.max_concurrency is not null then (
        select count(*) from leases l where l.project_id = %(project_id)s and l.job_id = c.job_id
    ) end as job_slots,
    j.max_concurrency_per_key,
    case when j.max_concurrency_per_key is not null and c.concurrency_key is not null then (
        select count(*) from leases l
        where l.project_id = %(project_id)s and l.job_id = c.job_id and l.concurrency_key = c.concurrency_key
    ) end as key_slots,
    case when j.version_policy <> 'pin' then j.state end as job_state
from claim_candidates(
    %(project_id)s, (
        select greatest(h.recorded_at, ledger_now()) from ledger_heads h where h.project_id = %(project_id)s
    ),
    %(limit)s, %(job_ids)s::text[], %(queues)s::text[],
    %(closed_job_ids)s::text[] || array(
        select j.job_id from jobs j
        where j.project_id = %(project_id)s and (
            not j.enabled
            or j.pushed and %(job_ids)s::text[] is null
            or j.max_concurrency is not null and j.max_concurrency <= (
                select count(*) from leases l where l.project_id = %(project_id)s and l.job_id = j.job_id
            )
        ) and (not j.enabled or j.pushed or j.max_concurrency is not null or j.max_concurrency_per_key is not null)
    ),
    %(closed_keys)s::text[] || array(
        select l.job_id || '/' || l.concurrency_key
        from jobs j
        join leases l on l.project_id = %(project_id)s and l.job_id = j.job_id and l.concurrency_key is not null
        where j.project_id = %(project_id)s and j.max_concurrency_per_key is not null
        group by l.job_id, l.concurrency_key, j.max_concurrency_per_key
        having count(*) >= j.max_concurrency_per_key
    )
) c
left join lateral (
    select j.max_concurrency, j.max_concurrency_per_key, j.version_policy, j.state
    from jobs j
    where j.project_id = %(project_id)s and j.job_id = c.job_id
    limit 1
) j on true
order by c.priority desc, c.due_at, c.created_position
limit %(limit)s;

-- claim_one --
-- One named run with the limits of its job, if it is queued and due and its job takes work.
select
    r.run_id,
    r.version,
    r.state,
    r.payload,
    r.job_id,
    r.concurrency_key,
    j.max_concurrency,
    (select count(*) from leases l where l.project_id = %(project_id)s and l.job_id = r.job_id) as job_slots,
    j.max_concurrency_per_key,
    (
        select count(*) from leases l
        where l.project_id = %(project_id)s and l.job_id = r.job_id and l.concurrency_key = r.concurrency_key
    ) as key_slots,
    case when j.version_policy <> 'pin' then j.state end as job_state
from runs r
join jobs j on j.project_id = %(project_id)s and j.job_id = r.job_id and j.enabled
join ledger_heads h on h.project_id = %(project_id)s
where r.project_id = %(project_id)s and r.run_id = %(run_id)s and r.status = 'queued'
    and r.due_at <= greatest(h.recorded_at, ledger_now())
    and (r.wake_at is null or r.wake_at > greatest(h.recorded_at, ledger_now()));

-- slots --
-- The limits of a job, and how many of its runs, and of those with a concurrency key, are at work.
select
    j.max_concurrency,
    (select count(*) from leases l where l.project_id = %(project_id)s and l.job_id = j.job_id),
    j.max_concurrency_per_key,
    (
        select count(*) from leases l
        where l.project_id = %(project_id)s and l.job_id = j.job_id and l.concurrency_key = %(concurrency_key)s::text
    )
from jobs j
where j.project_id = %(project_id)s and j.job_id = %(job_id)s
    and (j.max_concurrency is not null or j.max_concurrency_per_key is not null);

-- next_due --
-- When the next queued run of a project that is not due yet becomes so, in seconds from now.
select extract(epoch from min(r.due_at) - ledger_now())
from ledger_heads h
join runs r on r.project_id = %(project_id)s and r.status = 'queued' and r.due_at > greatest(h.recorded_at, ledger_now())
where h.project_id = %(project_id)s;

-- grant_leases --
-- Leases of new claims and of attempts that began or went on; all arrays run in parallel.
insert into leases (
    project_id, run_id, fence, attempt, worker_id, job_id, concurrency_key, expires_at, timeout_at
)
select %(project_id)s, u.*
from unnest(
    %(run_ids)b::text[], %(fences)b::integer[], %(attempts)b::integer[], %(worker_ids)b::text[], %(job_ids)b::text[],
    %(concurrency_keys)b::text[], %(expires_ats)b::timestamptz[], %(timeout_ats)b::timestamptz[]
) as u
on conflict (project_id, run_id) do update
set fence = excluded.fence,
    attempt = excluded.attempt,
    worker_id = excluded.worker_id,
    expires_at = greatest(leases.expires_at, excluded.expires_at),
    timeout_at = excluded.timeout_at;

-- end_leases --
-- Leases of attempts that are over.
delete from leases
where project_id = %(project_id)s and run_id = any (%(run_ids)b);

-- renew_lease --
-- A worker is alive: its lease lasts from now on for the given time.
update leases
set expires_at = ledger_now() + make_interval(secs => %(lease_secs)s)
where project_id = %(project_id)s and run_id = %(run_id)s and attempt = %(attempt)s
    and (%(fence)s::integer is null or fence = %(fence)s)
returning expires_at;

-- lease --
-- The lease of a run, as far as there is one, and whether it has run out.
select fence, expires_at <= ledger_now() as is_over
from leases
where project_id = %(project_id)s and run_id = %(run_id)s
for update;

-- due_timers --
-- What time has made of runs in all projects, the longest overdue first.
(
    select project_id, run_id, 'run' as kind, 0 as fence, wake_at as due_at
    from runs
    where wake_at <= ledger_now()
    order by wake_at
    limit %(limit)s
)
union all
(
    select project_id, run_id, 'lease', fence, least(expires_at, timeout_at)
    from leases
    where least(expires_at, timeout_at) <= ledger_now()
    order by least(expires_at, timeout_at)
    limit %(limit)s
)
union all
(
    select project_id, run_id, 'dependency', 0, released_at
    from dependency_waits
    where released_at <= ledger_now()
    order by released_at
    limit %(limit)s
)
order by due_at
limit %(limit)s;

-- next_timer --
-- In how many seconds the next timer of any project is due.
select extract(epoch from least(
    (select min(wake_at) from runs where wake_at is not null),
    (select min(least(expires_at, timeout_at)) from leases),
    (select min(released_at) from dependency_waits where released_at is not null)
) - ledger_now());

-- forget_expired_idempotency_keys --
-- Keys whose life is over.
delete from idempotency_keys
where expires_at < ledger_now() - interval '1 hour';

-- renew_leases --
-- Leases of claims whose requests are under way last from now on for the given time; both arrays run in parallel.
update leases l
set expires_at = ledger_now() + make_interval(secs => %(lease_secs)s)
from unnest(%(run_ids)s::text[], %(fences)s::integer[]) as u (run_id, fence)
where l.project_id = %(project_id)s and l.run_id = u.run_id and l.fence = u.fence
returning l.run_id;

-- ready_pushes --
-- The jobs of all projects that have runs to be sent to their endpoints now, and slots for them.
select j.project_id, j.job_id
from jobs j
where j.pushed and j.enabled
    and (
        j.max_concurrency is null or j.max_concurrency > (
            select count(*) from leases l where l.project_id = j.project_id and l.job_id = j.job_id
        )
    )
    and exists (
        select from runs r
        where r.project_id = j.project_id and r.job_id = j.job_id and r.status = 'queued'
            and r.due_at <= ledger_now() and (r.wake_at is null or r.wake_at > ledger_now())
    );

-- pushed_jobs --
-- Those of some jobs whose runs are sent to an endpoint.
select job_id, state
from jobs
where project_id = %(project_id)s and job_id = any (%(job_ids)s) and pushed and enabled;
