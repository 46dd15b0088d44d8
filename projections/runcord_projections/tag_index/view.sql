-- The tag index's table is `tag_index` in `runcord/sql/schema.sql`.

-- counts --
-- The tags from one place up to another, in their order, each with what tells its counts at a position: its latest row up
-- to the position's area, if it has one. From tag to tag it goes by the key, over all rows of the one before.
with recursive tags as (
    (
        select t.tag_key, t.tag_value, 1 as number
        from tag_index t
        where t.project_id = %(project_id)s
            and t.generation = (
                select p.generation from projections p
                where p.project_id = %(project_id)s and p.name = 'tag_index' and p.status = 'live'
            )
            and (t.tag_key, t.tag_value) >= (%(start_key)s, %(start_value)s)
            and (t.tag_key, t.tag_value) < (%(end_key)s, %(end_value)s)
        order by t.tag_key, t.tag_value
        limit 1
    )
    union all
    select following.tag_key, following.tag_value, tags.number + 1
    from tags
    cross join lateral (
        select t.tag_key, t.tag_value
        from tag_index t
        where t.project_id = %(project_id)s
            and t.generation = (
                select p.generation from projections p
                where p.project_id = %(project_id)s and p.name = 'tag_index' and p.status = 'live'
            )
            and (t.tag_key, t.tag_value) > (tags.tag_key, tags.tag_value)
            and (t.tag_key, t.tag_value) < (%(end_key)s, %(end_value)s)
        order by t.tag_key, t.tag_value
        limit 1
    ) as following
    where tags.number < %(limit)s
)
select tags.tag_key, tags.tag_value, latest.area, latest.counts, latest.changes
from tags
left join lateral (
    select t.area, t.counts, t.changes
    from tag_index t
    where t.project_id = %(project_id)s
        and t.generation = (
            select p.generation from projections p
            where p.project_id = %(project_id)s and p.name = 'tag_index' and p.status = 'live'
        )
        and t.tag_key = tags.tag_key and t.tag_value = tags.tag_value and t.area <= %(area)s
    order by t.area desc
    limit 1
) as latest on true
order by tags.number;
