-- events_of_runs --
-- The events of runs after a position, up to another, in order: of some runs, or of all (null). As many as have some
-- bytes together, at least one, at most `limit`.
with scanned as materialized (
    select stream_id, version, position, recorded_at, event_id, type, data, metadata
    from events
    where project_id = %(project_id)s and position > %(after)s and position <= %(until)s
        and (%(run_ids)s::text[] is null or stream_id = any (%(run_ids)s::text[]))
        and starts_with(stream_id, 'run_')
    order by position
    limit %(limit)s
)
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from (
    select s.*, sum(octet_length(s.data)) over (order by s.position rows unbounded preceding)
        - octet_length(s.data) as bytes_before
    from scanned s
) w
where bytes_before < %(bytes)s
order by position;

-- events_selected --
-- The same, of runs that may be selected: those of a job, of a batch, and filed under one or the other term of each pair
-- of terms; null means any. The runs are reached by their keys, whatever the planner knows of the table.
with scanned as materialized (
    select stream_id, version, position, recorded_at, event_id, type, data, metadata
    from events
    where project_id = %(project_id)s and position > %(after)s and position <= %(until)s
        and starts_with(stream_id, 'run_')
),
candidates as materialized (
    select r.run_id
    from runs r
    where r.project_id = %(project_id)s
        and r.run_id = any (array(select distinct s.stream_id from scanned s))
        and (%(job_id)s::text is null or r.job_id = %(job_id)s::text)
        and (%(batch_id)s::text is null or r.batch_id = %(batch_id)s::text)
        and not exists (
            select from unnest(%(terms)s::bigint[], %(other_terms)s::bigint[]) as w (one, other)
            where not exists (
                select from run_terms t
                where t.project_id = %(project_id)s
                    and t.term in (
                        (r.created_position >> 21 << 32) | w.one, (r.created_position >> 21 << 32) | w.other
                    )
                    and t.position > r.created_position - 63 and t.position <= r.created_position
                    and (t.mask >> (r.created_position - t.position)::integer) & 1 = 1
            )
        )
)
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from (
    select f.*, sum(octet_length(f.data)) over (order by f.position rows unbounded preceding)
        - octet_length(f.data) as bytes_before
    from (
        select s.*
        from scanned s
        where s.stream_id in (select run_id from candidates)
        order by s.position
        limit %(limit)s
    ) f
) w
where bytes_before < %(bytes)s
order by position;

-- runs_moved --
-- Runs as they are, by the positions of their last events, after a position and up to another; those that may be selected,
-- as above. A run whose last event lies beyond is not among them. As many as have some bytes together, at least one.
with scanned as materialized (
    select stream_id, max(position) as position
    from events
    where project_id = %(project_id)s and position > %(after)s and position <= %(until)s
        and starts_with(stream_id, 'run_')
    group by stream_id
),
moved as materialized (
    select r.position, r.state, r.payload, r.result,
        octet_length(r.state) + coalesce(octet_length(r.payload), 0) + coalesce(octet_length(r.result), 0) as size
    from runs r
    where r.project_id = %(project_id)s
        and r.run_id = any (array(select s.stream_id from scanned s))
        and r.position in (select s.position from scanned s)
        and (%(job_id)s::text is null or r.job_id = %(job_id)s::text)
        and (%(batch_id)s::text is null or r.batch_id = %(batch_id)s::text)
        and not exists (
            select from unnest(%(terms)s::bigint[], %(other_terms)s::bigint[]) as w (one, other)
            where not exists (
                select from run_terms t
                where t.project_id = %(project_id)s
                    and t.term in (
                        (r.created_position >> 21 << 32) | w.one, (r.created_position >> 21 << 32) | w.other
                    )
                    and t.position > r.created_position - 63 and t.position <= r.created_position
                    and (t.mask >> (r.created_position - t.position)::integer) & 1 = 1
            )
        )
    order by r.position
    limit %(limit)s
)
select position, state, payload, result
from (
    select m.*, sum(m.size) over (order by m.position rows unbounded preceding) - m.size as bytes_before
    from moved m
) w
where bytes_before < %(bytes)s
order by position;

-- run_moved --
-- One run as it is, if its last event lies after a position.
select position, state, payload, result
from runs
where project_id = %(project_id)s and run_id = %(run_id)s and position > %(after)s;

-- events_of_run --
-- The same, of one run.
select stream_id, version, position, recorded_at, event_id, type, data, metadata
from (
    select e.*, sum(octet_length(e.data)) over (order by e.version rows unbounded preceding)
        - octet_length(e.data) as bytes_before
    from events e
    where e.project_id = %(project_id)s and e.stream_id = %(run_id)s
        and e.position > %(after)s and e.position <= %(until)s
    order by e.version
    limit %(limit)s
) w
where bytes_before < %(bytes)s
order by version;

-- runs_at_rest --
-- Runs as they are, whose last events are at some positions; those that have moved on since are not among them. As many
-- as have some bytes together, at least one.
select position, state, payload, result
from (
    select s.*, sum(s.size) over (order by s.position rows unbounded preceding) - s.size as bytes_before
    from (
        select r.position, r.state, r.payload, r.result,
            octet_length(r.state) + coalesce(octet_length(r.payload), 0) + coalesce(octet_length(r.result), 0) as size
        from runs r
        where r.project_id = %(project_id)s
            and r.run_id = any (array(
                select e.stream_id from events e
                where e.project_id = %(project_id)s and e.position = any (%(positions)s::bigint[])
            ))
            and r.position = any (%(positions)s::bigint[])
    ) s
) w
where bytes_before < %(bytes)s
order by position;

-- positions_of_runs --
-- Of runs by any combination of filters, the positions of their last events, newest runs first, below a position.
select position, created_position
from find_runs(
    %(project_id)s, %(before)s, %(limit)s, %(statuses)s::text[], %(any_status)s, %(terms)s::bigint[],
    %(other_terms)s::bigint[], %(job_id)s, %(batch_id)s, %(triggered_by)s, %(labels)s::jsonb, %(tag_keys)s::text[],
    %(metadata_keys)s::text[], %(payload)s::jsonb
);

-- runs_before --
-- What makes runs as they were in versions, given by parallel arrays: of each its last snapshot up to there, if there is
-- any, with `type` null; and the events after it, in order, at most `limit`.
select m.stream_id, m.version, m.position, m.recorded_at, m.event_id, m.type, m.data, m.metadata
from unnest(%(run_ids)s::text[], %(versions)s::integer[]) as wanted (run_id, version)
left join lateral (
    select s.version, s.position, s.state
    from run_snapshots s
    where s.project_id = %(project_id)s and s.run_id = wanted.run_id and s.version <= wanted.version
        and s.generation = (
            select p.generation
            from projections p
            where p.project_id = %(project_id)s and p.name = 'run_snapshots' and p.status = 'live'
        )
    order by s.version desc
    limit 1
) as snapshot on true
cross join lateral (
    select wanted.run_id as stream_id, snapshot.version, snapshot.position, null::timestamptz as recorded_at,
        null::uuid as event_id, null::text as type, snapshot.state as data, null::bytea as metadata
    where snapshot.version is not null
    union all
    (
        select e.stream_id, e.version, e.position, e.recorded_at, e.event_id, e.type, e.data, e.metadata
        from events e
        where e.project_id = %(project_id)s and e.stream_id = wanted.run_id and e.version <= wanted.version
            and e.version > coalesce(snapshot.version, 0)
        order by e.version
        limit %(limit)s
    )
) as m
order by m.stream_id, m.version;
