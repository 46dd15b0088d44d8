-- The floor of the appends: a position to count, an event, and the state it leads to.
create table floor_head (
    project_id integer primary key,
    position bigint not null
) with (fillfactor = 10);
insert into floor_head values (1, 0);

create table floor_event (
    project_id integer not null,
    position bigint not null,
    stream_id uuid not null,
    version integer not null,
    type text not null,
    data bytea not null,
    recorded_at timestamptz not null,
    primary key (project_id, position),
    unique (project_id, stream_id, version)
);

create table floor_run (
    project_id integer not null,
    run_id uuid not null,
    version integer not null,
    status text not null,
    created_position bigint not null,
    payload bytea not null,
    primary key (project_id, run_id)
);
-- What a worker looks for.
create index floor_run_queued on floor_run (project_id, created_position) where status = 'queued';
