-- Chunks: what workers stream while they work. They are no events, and nothing here takes a ledger's lock.

-- append_chunks --
-- Appends chunks under the next numbers of their runs; all arrays run in parallel, in the order of arrival. Tells the
-- number of each by its place, 0 for one that a writer has sent before. Left out are those whose attempt has no lease,
-- those that come from outside to a run that has ended, and those whose lease or run somebody holds at this moment:
-- waiting for it here could end in a deadlock with a group of commands. The lock lets no attempt, or run, end before
-- its chunks are there, the one on the head has the numbers appear in order.
with given as (
    select *
    from unnest(
        %(run_ids)b::text[], %(attempts)b::integer[], %(fences)b::integer[], %(outsides)b::boolean[],
        %(stream_ids)b::text[], %(dones)b::boolean[], %(chunks)b::bytea[], %(writers)b::text[], %(indexes)b::bigint[]
    ) with ordinality
        as g (run_id, attempt, fence, outside, stream_id, done, chunk, writer, writer_index, place)
),
live as (
    select l.run_id, l.attempt, l.fence
    from leases l
    where l.project_id = %(project_id)s and l.run_id = any (%(run_ids)b::text[])
    order by l.run_id
    for key share skip locked
),
open_runs as (
    select r.run_id
    from runs r
    where r.project_id = %(project_id)s and r.run_id = any (%(outside_run_ids)b::text[])
        and r.status <> all (%(finished)b::text[])
    order by r.run_id
    for share skip locked
),
taken as (
    select g.*, live.attempt as of_attempt
    from given g
    join live on live.run_id = g.run_id
        and (g.attempt is null or g.attempt = live.attempt) and (g.fence is null or g.fence = live.fence)
    where not g.outside
    union all
    select g.*, 0
    from given g
    join open_runs o on o.run_id = g.run_id
    where g.outside
),
repeated as (
    select t.place
    from taken t
    where t.writer_index <= (
        select max(c.writer_index)
        from run_chunks c
        where c.project_id = %(project_id)s and c.run_id = t.run_id and c.stream_id = t.stream_id
            and c.writer = t.writer
    )
),
accepted as (
    select t.*, row_number() over (partition by t.run_id order by t.place) as nth
    from taken t
    where t.place not in (select place from repeated)
),
heads as (
    insert into chunk_heads (project_id, run_id, sequence)
    select %(project_id)s, a.run_id, count(*)
    from accepted a
    group by a.run_id
    order by a.run_id
    on conflict (project_id, run_id) do update set sequence = chunk_heads.sequence + excluded.sequence
    returning run_id, sequence
),
numbered as (
    select a.*, h.sequence - count(*) over (partition by a.run_id) + a.nth as sequence
    from accepted a
    join heads h on h.run_id = a.run_id
),
written as (
    insert into run_chunks (
        project_id, run_id, sequence, stream_id, done, attempt, recorded_at, chunk, writer, writer_index
    )
    select %(project_id)s, n.run_id, n.sequence, n.stream_id, n.done, n.of_attempt, ledger_now(), n.chunk, n.writer,
        n.writer_index
    from numbered n
    on conflict do nothing
)
select place, sequence from numbered
union all
select place, 0 from repeated;

-- last_of_writer --
-- The index of the last chunk that a writer has sent to a stream; without a writer, that of the stream's last chunk.
select coalesce(
    case when %(writer)s::text is null then count(*) - 1 else max(writer_index) filter (where writer = %(writer)s) end,
    -1
)
from run_chunks
where project_id = %(project_id)s and run_id = %(run_id)s and stream_id = %(stream_id)s;

-- chunks --
-- The chunks of a run after a number, in order: as many as have some bytes together, at least one, at most `limit`.
select sequence, stream_id, done, attempt, recorded_at, chunk
from (
    select c.*, sum(octet_length(c.chunk)) over (order by c.sequence rows unbounded preceding)
        - octet_length(c.chunk) as bytes_before
    from run_chunks c
    where c.project_id = %(project_id)s and c.run_id = %(run_id)s and c.sequence > %(after)s
    order by c.sequence
    limit %(limit)s
) page
where bytes_before < %(bytes)s
order by sequence;

-- chunks_of_stream --
-- The chunks of one stream of a run, or of all, after a number, in order.
select sequence, stream_id, done, attempt, recorded_at, chunk
from run_chunks
where project_id = %(project_id)s and run_id = %(run_id)s and sequence > %(after)s
    and (%(stream_id)s::text is null or stream_id = %(stream_id)s)
order by sequence
limit %(limit)s;

-- chunk_head --
-- How many chunks a run has streamed.
select sequence
from chunk_heads
where project_id = %(project_id)s and run_id = %(run_id)s;

-- chunk_heads_of --
-- How many chunks some runs have streamed; the arrays run in parallel.
select h.project_id, h.run_id, h.sequence
from unnest(%(project_ids)s::text[], %(run_ids)s::text[]) as w (project_id, run_id)
join chunk_heads h on h.project_id = w.project_id and h.run_id = w.run_id;

-- forget_expired_chunks --
-- Chunks that are older than they are to be kept, at most `limit`.
delete from run_chunks
where (project_id, run_id, sequence) in (
    select project_id, run_id, sequence
    from run_chunks
    where recorded_at < ledger_now() - make_interval(secs => %(keep_secs)s)
    limit %(limit)s
);
