-- Chunks: what workers stream while they work. They are no events, and nothing here takes a ledger's lock.

-- append_chunks --
-- Appends chunks of live attempts under the next numbers of their runs; all arrays run in parallel, in the order of
-- arrival. Tells the number of each by its place. Left out are those whose attempt has no lease, and those whose lease
-- somebody holds at this moment: waiting for it here could end in a deadlock with a group of commands. The lock on
-- the lease lets no attempt end before its chunks are there, the one on the head has the numbers appear in order.
with given as (
    select *
    from unnest(
        %(run_ids)b::text[], %(attempts)b::integer[], %(fences)b::integer[], %(stream_ids)b::text[],
        %(dones)b::boolean[], %(chunks)b::bytea[]
    ) with ordinality as g (run_id, attempt, fence, stream_id, done, chunk, place)
),
live as (
    select l.run_id, l.attempt, l.fence
    from leases l
    where l.project_id = %(project_id)s and l.run_id = any (%(run_ids)b::text[])
    order by l.run_id
    for key share skip locked
),
accepted as (
    select g.run_id, g.stream_id, g.done, g.chunk, g.place, live.attempt,
        row_number() over (partition by g.run_id order by g.place) as nth
    from given g
    join live on live.run_id = g.run_id
        and (g.attempt is null or g.attempt = live.attempt) and (g.fence is null or g.fence = live.fence)
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
    insert into run_chunks (project_id, run_id, sequence, stream_id, done, attempt, recorded_at, chunk)
    select %(project_id)s, n.run_id, n.sequence, n.stream_id, n.done, n.attempt, ledger_now(), n.chunk
    from numbered n
)
select place, sequence from numbered;

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
