-- What decides whether a trigger makes a run, in jobs whose settings say that it may not.

-- open_windows --
-- The runs that gather triggers of some keys of a job, perhaps no more; a row for every key.
select u.key, null::timestamptz as expires_at, r.run_id, r.version, r.state
from unnest(%(keys)b::text[]) as u (key)
left join trigger_windows w on w.project_id = %(project_id)s and w.job_id = %(job_id)s and w.kind = %(kind)s
    and w.key = u.key
left join runs r on r.project_id = %(project_id)s and r.run_id = w.run_id;

-- recent_payloads --
-- The runs that answer for some payloads of a job, and until when; a row for every payload.
select u.key, p.expires_at, r.run_id, r.version, r.state
from unnest(%(keys)b::text[]) as u (key)
left join recent_payloads p on p.project_id = %(project_id)s and p.job_id = %(job_id)s and p.payload_hash = u.key
left join runs r on r.project_id = %(project_id)s and r.run_id = p.run_id;

-- trigger_rate --
-- The triggers of a job that were let in after a time: when the first were and how many, and how many in all.
select
    c.triggered_at,
    c.count,
    (
        select n.total from trigger_counts n
        where n.project_id = %(project_id)s and n.job_id = %(job_id)s
        order by n.triggered_at desc
        limit 1
    ) - c.total + c.count as used
from trigger_counts c
where c.project_id = %(project_id)s and c.job_id = %(job_id)s and c.triggered_at > %(since)s
order by c.triggered_at
limit 1;

-- nth_trigger --
-- When the n-th trigger of a job after a time was let in.
select c.triggered_at
from trigger_counts c
where c.project_id = %(project_id)s and c.job_id = %(job_id)s and c.triggered_at > %(since)s
    and c.total >= %(n)s + (
        select f.total - f.count from trigger_counts f
        where f.project_id = %(project_id)s and f.job_id = %(job_id)s and f.triggered_at > %(since)s
        order by f.triggered_at
        limit 1
    )
order by c.triggered_at
limit 1;

-- open_trigger_windows --
-- Windows that began; all arrays run in parallel.
insert into trigger_windows (project_id, job_id, kind, key, run_id)
select %(project_id)s, u.*
from unnest(%(job_ids)b::text[], %(kinds)b::text[], %(keys)b::text[], %(run_ids)b::text[]) as u
on conflict (project_id, job_id, kind, key) do update
set run_id = excluded.run_id;

-- close_trigger_windows --
-- Windows that are over, unless another run has the key by now; all arrays run in parallel.
delete from trigger_windows w
using unnest(%(job_ids)b::text[], %(kinds)b::text[], %(keys)b::text[], %(run_ids)b::text[]) as u (
    job_id, kind, key, run_id
)
where w.project_id = %(project_id)s and w.job_id = u.job_id and w.kind = u.kind and w.key = u.key
    and w.run_id = u.run_id;

-- remember_payloads --
-- Runs that answer for their payloads from now on; all arrays run in parallel.
insert into recent_payloads (project_id, job_id, payload_hash, run_id, expires_at)
select %(project_id)s, u.*
from unnest(
    %(job_ids)b::text[], %(payload_hashes)b::text[], %(run_ids)b::text[], %(expires_ats)b::timestamptz[]
) as u
on conflict (project_id, job_id, payload_hash) do update
set run_id = excluded.run_id,
    expires_at = excluded.expires_at;

-- count_triggers --
-- Triggers that were let in; all arrays run in parallel, one element a job. Two transactions may be at one time.
insert into trigger_counts (project_id, job_id, triggered_at, count, total, expires_at)
select %(project_id)s, u.job_id, u.triggered_at, u.count, u.count + coalesce((
        select c.total from trigger_counts c
        where c.project_id = %(project_id)s and c.job_id = u.job_id
        order by c.triggered_at desc
        limit 1
    ), 0), u.expires_at
from unnest(
    %(job_ids)b::text[], %(triggered_ats)b::timestamptz[], %(counts)b::integer[], %(expires_ats)b::timestamptz[]
) as u (job_id, triggered_at, count, expires_at)
on conflict (project_id, job_id, triggered_at) do update
set count = trigger_counts.count + excluded.count,
    total = excluded.total,
    expires_at = excluded.expires_at;

-- forget_expired_payloads --
-- Payloads that no trigger is compared with any more.
delete from recent_payloads
where expires_at < ledger_now();

-- forget_expired_counts --
-- Triggers that count against no limit any more.
delete from trigger_counts
where expires_at < ledger_now();
