-- What workers stream while they work, in a table of its own: chunks are no events.

create table chunk_heads (
    project_id text collate "C" not null,
    run_id text collate "C" not null,
    sequence bigint not null,
    primary key (project_id, run_id)
) with (fillfactor = 50);

create table run_chunks (
    project_id text collate "C" not null,
    run_id text collate "C" not null,
    sequence bigint not null,
    stream_id text collate "C" not null,
    done boolean not null,
    attempt integer not null,
    recorded_at timestamptz not null,
    chunk bytea not null,
    primary key (project_id, run_id, sequence)
);
-- Retention. Rows come in the order of their times, so that this stays a few pages however many there are.
create index run_chunks_recorded on run_chunks using brin (recorded_at);
