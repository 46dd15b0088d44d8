-- The table of dead letters is `dead_letters` in `runcord/sql/schema.sql`.

-- waiting --
-- The entries that lie in the queue at a recent position, newest first, below a position: those that lie there now, and
-- those that have left since, which are few.
with since as materialized (
    select d.*
    from dead_letters d
    where d.project_id = %(project_id)s
        and d.generation = (
            select p.generation from projections p
            where p.project_id = %(project_id)s and p.name = 'dead_letters' and p.status = 'live'
        )
        and d.left_position > %(position)s
)
select run_id, round, position, dead_at, left_position, job_id, attempts, fingerprint, first_error, last_error, replays,
    replay_positions
from (
    (
        select d.*
        from dead_letters d
        where d.project_id = %(project_id)s
            and d.generation = (
                select p.generation from projections p
                where p.project_id = %(project_id)s and p.name = 'dead_letters' and p.status = 'live'
            )
            and d.position is not null and d.left_position is null and d.position < %(before)s
            and (%(job_id)s::text is null or d.job_id = %(job_id)s)
            and (%(fingerprint)s::text is null or d.fingerprint = %(fingerprint)s)
        order by d.position desc
        limit %(limit)s
    )
    union all
    select *
    from since
    where position < %(before)s
        and (%(job_id)s::text is null or job_id = %(job_id)s)
        and (%(fingerprint)s::text is null or fingerprint = %(fingerprint)s)
) as entries
order by position desc
limit %(limit)s;

-- entries --
-- The entries that there were at a position, newest first, below a position; those that lay in the queue then, those that
-- had left it, or all.
select d.run_id, d.round, d.position, d.dead_at, d.left_position, d.job_id, d.attempts, d.fingerprint, d.first_error,
    d.last_error, d.replays, d.replay_positions
from dead_letters d
where d.project_id = %(project_id)s
    and d.generation = (
        select p.generation from projections p
        where p.project_id = %(project_id)s and p.name = 'dead_letters' and p.status = 'live'
    )
    and d.position < %(before)s
    and (%(has_left)s::boolean is null or coalesce(d.left_position <= %(position)s, false) = %(has_left)s)
    and (%(job_id)s::text is null or d.job_id = %(job_id)s)
    and (%(fingerprint)s::text is null or d.fingerprint = %(fingerprint)s)
order by d.position desc
limit %(limit)s;

-- groups --
-- The entries that there were at a position, counted by their fingerprints, the most first, below a place; with what the
-- newest of each group says.
with entries as (
    select d.fingerprint, d.job_id, d.position, d.dead_at
    from dead_letters d
    where d.project_id = %(project_id)s
        and d.generation = (
            select p.generation from projections p
            where p.project_id = %(project_id)s and p.name = 'dead_letters' and p.status = 'live'
        )
        and d.position <= %(position)s
        and (%(has_left)s::boolean is null or coalesce(d.left_position <= %(position)s, false) = %(has_left)s)
        and (%(job_id)s::text is null or d.job_id = %(job_id)s)
),
by_job as (
    select fingerprint, job_id, count(*) as count, min(dead_at) as first_at, max(dead_at) as last_at
    from entries
    group by fingerprint, job_id
),
groups as (
    select fingerprint, sum(count)::bigint as count, min(first_at) as first_at, max(last_at) as last_at,
        (array_agg(job_id order by count desc, job_id))[:%(jobs)s] as job_ids
    from by_job
    group by fingerprint
),
page as (
    select *
    from groups
    where (-count, fingerprint) > (-%(after_count)s::bigint, %(after_fingerprint)s)
    order by count desc, fingerprint
    limit %(limit)s
)
select page.fingerprint, page.count, page.job_ids, page.first_at, page.last_at, newest.run_ids, newest.errors
from page
cross join lateral (
    select array_agg(latest.run_id order by latest.position desc) as run_ids,
        array_agg(latest.last_error order by latest.position desc) as errors
    from (
        select d.run_id, d.position, d.last_error
        from dead_letters d
        where d.project_id = %(project_id)s
            and d.generation = (
                select p.generation from projections p
                where p.project_id = %(project_id)s and p.name = 'dead_letters' and p.status = 'live'
            )
            and d.fingerprint = page.fingerprint and d.position <= %(position)s
            and (%(has_left)s::boolean is null or coalesce(d.left_position <= %(position)s, false) = %(has_left)s)
            and (%(job_id)s::text is null or d.job_id = %(job_id)s)
        order by d.position desc
        limit %(samples)s
    ) as latest
) as newest
order by page.count desc, page.fingerprint;
