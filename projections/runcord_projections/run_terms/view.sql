-- The table `run_terms` and the function `find_runs` stand in `runcord/sql/schema.sql`.

-- insert --
-- Terms of runs that were triggered, and at which positions after the first; all arrays run in parallel. What is
-- triggered later has later positions, so nothing can be there yet.
insert into run_terms (project_id, term, position, mask)
select %(project_id)s, unnest(%(terms)b::bigint[]), unnest(%(positions)b::bigint[]), unnest(%(masks)b::bigint[]);

-- add --
-- Terms, still without their area, that were given to runs later; both arrays run in parallel.
insert into run_terms (project_id, term, position, mask)
select %(project_id)s, (r.created_position >> 21 << 32) | u.term, r.created_position, 1
from unnest(%(run_ids)b::text[], %(terms)b::bigint[]) as u (run_id, term)
join runs r on r.project_id = %(project_id)s and r.run_id = u.run_id and r.run_id = any (%(run_ids)b::text[])
on conflict (project_id, term, position) do update
set mask = run_terms.mask | 1;

-- page --
-- Runs by any combination of filters, newest first, below a position.
select state, payload, result, position, created_position
from find_runs(
    %(project_id)s, %(before)s, %(limit)s, %(statuses)s::text[], %(any_status)s, %(terms)s::bigint[],
    %(other_terms)s::bigint[], %(job_id)s, %(batch_id)s, %(triggered_by)s, %(labels)s::jsonb, %(tag_keys)s::text[],
    %(metadata_keys)s::text[], %(payload)s::jsonb
);
