-- page --
-- The events of the ledger after a position, among the next `stride` of them, in order: of some types (stored names);
-- of runs that are of one job and have these tags now, or of that job itself; null means any. What belongs to streams
-- of a hidden kind is left out. As many as have some bytes together, at least one, at most `limit`.
with scanned as materialized (
    select stream_id, version, position, recorded_at, event_id, type, data, metadata
    from events
    where project_id = %(project_id)s and position > %(after)s and position <= %(after)s::bigint + %(stride)s
        and (%(types)s::text[] is null or type = any (%(types)s::text[]))
        and split_part(stream_id, '_', 1) <> all (%(hidden)s::text[])
),
chosen as materialized (
    select r.run_id
    from runs r
    where r.project_id = %(project_id)s
        and r.run_id in (select s.stream_id from scanned s)
        and (%(job_id)s::text is null or r.job_id = %(job_id)s::text)
        and (%(tags)s::jsonb is null or convert_from(r.state, 'UTF8')::jsonb -> 'tags' @> %(tags)s::jsonb)
        and (%(tag_keys)s::text[] is null or convert_from(r.state, 'UTF8')::jsonb -> 'tags' ?& %(tag_keys)s::text[])
)
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from (
    select f.*, sum(octet_length(f.data)) over (order by f.position rows unbounded preceding)
        - octet_length(f.data) as bytes_before
    from (
        select s.*
        from scanned s
        where not %(asks_for_runs)s
            or s.stream_id in (select run_id from chosen)
            or (%(tags)s::jsonb is null and %(tag_keys)s::text[] is null and s.stream_id = %(job_id)s::text)
        order by s.position
        limit %(limit)s
    ) f
) w
where bytes_before < %(bytes)s
order by position;

-- page_of_run --
-- The events of one run after a position, in order, of some types if not null; bounded in the same way.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from (
    select e.*, sum(octet_length(e.data)) over (order by e.version rows unbounded preceding)
        - octet_length(e.data) as bytes_before
    from events e
    where e.project_id = %(project_id)s and e.stream_id = %(run_id)s and e.position > %(after)s
        and (%(types)s::text[] is null or e.type = any (%(types)s::text[]))
    order by e.version
    limit %(limit)s
) w
where bytes_before < %(bytes)s
order by version;

-- runs_chosen --
-- Which of these runs are of one job and have these tags now; null means any.
select r.run_id
from runs r
where r.project_id = %(project_id)s and r.run_id = any (%(run_ids)s::text[])
    and (%(job_id)s::text is null or r.job_id = %(job_id)s::text)
    and (%(tags)s::jsonb is null or convert_from(r.state, 'UTF8')::jsonb -> 'tags' @> %(tags)s::jsonb)
    and (%(tag_keys)s::text[] is null or convert_from(r.state, 'UTF8')::jsonb -> 'tags' ?& %(tag_keys)s::text[]);
