-- Lineage's table is `lineage` in `runcord/sql/schema.sql`.

-- ancestors --
-- A run at depth 0 and those that it came of, at the depths -1, -2 …, as far as some kinds of edges tell at a position.
with recursive family as (
    select %(run_id)s::text collate "C" as run_id, 0 as depth
    union
    select l.run_id, f.depth - 1
    from family f
    join lineage l on l.project_id = %(project_id)s and l.other_run_id = f.run_id
    where l.generation = (
            select p.generation from projections p
            where p.project_id = %(project_id)s and p.name = 'lineage' and p.status = 'live'
        )
        and l.kind = any (%(kinds)s::text[]) and l.position <= %(position)s and f.depth > -%(most_deep)s
)
select run_id, depth
from family
limit %(limit)s;

-- descendants --
-- Runs at their depths, given as parallel arrays, and those that came of them, deeper and deeper.
with recursive family as (
    select u.run_id collate "C" as run_id, u.depth
    from unnest(%(run_ids)s::text[], %(depths)s::integer[]) as u (run_id, depth)
    union
    select l.other_run_id, f.depth + 1
    from family f
    join lineage l on l.project_id = %(project_id)s and l.run_id = f.run_id
    where l.generation = (
            select p.generation from projections p
            where p.project_id = %(project_id)s and p.name = 'lineage' and p.status = 'live'
        )
        and l.kind = any (%(kinds)s::text[]) and l.position <= %(position)s and f.depth < %(most_deep)s
)
select run_id, depth
from family
limit %(limit)s;

-- edges --
-- The edges between some runs at a position, as they came about.
select l.run_id, l.kind, l.other_run_id, l.position
from lineage l
where l.project_id = %(project_id)s
    and l.generation = (
        select p.generation from projections p
        where p.project_id = %(project_id)s and p.name = 'lineage' and p.status = 'live'
    )
    and l.other_run_id = any (%(run_ids)s) and l.run_id = any (%(run_ids)s) and l.position <= %(position)s
order by l.position;

-- runs --
-- Some runs as they are.
select state, position
from runs
where project_id = %(project_id)s and run_id = any (%(run_ids)s);

-- last_events --
-- Of each of some runs, the last event of some types up to a position.
select e.stream_id, e.version, e.position, e.recorded_at, e.event_id, e.type, e.data, e.metadata
from unnest(%(run_ids)s::text[]) as wanted (run_id)
cross join lateral (
    select s.*
    from events s
    where s.project_id = %(project_id)s and s.stream_id = wanted.run_id and s.position <= %(position)s
        and s.type = any (%(types)s)
    order by s.version desc
    limit 1
) as e;
