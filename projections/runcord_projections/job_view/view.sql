-- The job view's table is `jobs` in `runcord/sql/schema.sql`: commands are decided on it.

-- load --
-- The states of some jobs.
select job_id, version, state
from jobs
where project_id = %(project_id)s and job_id = any (%(job_ids)b);

-- save --
-- Jobs that were created or changed; all arrays run in parallel.
insert into jobs (project_id, job_id, version, position, created_position, slug, deleted, enabled,
    max_concurrency, max_concurrency_per_key, version_policy, pushed, state, depending)
select %(project_id)s, u.*
from unnest(
    %(job_ids)b::text[], %(versions)b::integer[], %(positions)b::bigint[], %(created_positions)b::bigint[],
    %(slugs)b::text[], %(deleted)b::boolean[], %(enabled)b::boolean[], %(max_concurrency)b::integer[],
    %(max_concurrency_per_key)b::integer[], %(version_policies)b::text[], %(pushed)b::boolean[],
    %(states)b::bytea[], %(depending)b::boolean[]
) as u
on conflict (project_id, job_id) do update
set version = excluded.version,
    position = excluded.position,
    slug = excluded.slug,
    deleted = excluded.deleted,
    enabled = excluded.enabled,
    max_concurrency = excluded.max_concurrency,
    max_concurrency_per_key = excluded.max_concurrency_per_key,
    version_policy = excluded.version_policy,
    pushed = excluded.pushed,
    state = excluded.state,
    depending = excluded.depending;

-- dependencies_changed --
-- Whoever remembers what depends on what has to read it again.
update ledger_heads
set dependencies_position = %(position)s
where project_id = %(project_id)s;

-- get --
-- One job, by its id or its slug.
select state, created_position
from jobs
where project_id = %(project_id)s and not deleted and (job_id = %(ref)s or slug = %(ref)s)
order by (job_id = %(ref)s) desc
limit 1;

-- page --
-- Jobs, newest first, below a position; with a tag, of any value or of one, if asked.
select state, created_position
from jobs
where project_id = %(project_id)s and not deleted and created_position < %(before)s
    and (
        %(tag_key)s::text is null
        or convert_from(state, 'UTF8')::jsonb #> '{settings,tags}' ? %(tag_key)s
        and coalesce(convert_from(state, 'UTF8')::jsonb #> '{settings,tags}' ->> %(tag_key)s = %(tag_value)s, true)
    )
order by created_position desc
limit %(limit)s;
