-- is_product --
-- Whether this database has the product's schema.
select to_regclass('ledger_heads') is not null;

-- ledgers --
-- The projects that have events, with the numbers of their events and of their rows of runs.
select h.project_id, h.position, (select count(*) from runs r where r.project_id = h.project_id)
from ledger_heads h
where h.position > 0
order by h.project_id;

-- faults --
-- How many positions do not follow on the one before, how many streams have a hole in their versions, and how often the
-- time goes back.
select
    (
        select count(*) filter (where position <> n) + count(*) filter (where position < 1)
        from (
            select position, row_number() over (order by position) as n
            from events
            where project_id = %(project_id)s
        ) as numbered
    ),
    (
        select count(*)
        from (
            select 1
            from events
            where project_id = %(project_id)s
            group by stream_id
            having min(version) <> 1 or max(version) <> count(*)
        ) as streams
    ),
    (
        select count(*) filter (where recorded_at < before)
        from (
            select recorded_at, lag(recorded_at) over (order by position) as before
            from events
            where project_id = %(project_id)s
        ) as timed
    );
