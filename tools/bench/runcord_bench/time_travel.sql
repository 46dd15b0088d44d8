-- append --
-- Events of one run: its trigger, and then steps of an agent, as they are recorded.
select ledger_append(
    %(project_id)s, null, array_agg(%(run_id)s::text order by v), array_agg(v order by v),
    array_agg(gen_random_uuid() order by v), array_agg(type order by v), array_agg(convert_to(data, 'UTF8') order by v),
    array_agg(convert_to('{"actor":"run:' || %(run_id)s || '","request_id":"req_' || v || '"}', 'UTF8') order by v)
)
from (
    select v::integer,
        case when v = 1 then 'run.triggered.v1' when v %% 10 = 0 then 'run.checkpointed.v1' else 'run.logged.v1' end as type,
        case
            when v = 1 then '{"job_id":"job_bench","job_slug":"bench","job_version":1,"triggered_by":"manual","policy":{},'
                || '"tags":{"env":"prod"},"created_by":"apikey:key_bench"}'
            when v %% 10 = 0 then '{"sequence":' || v / 10 || ',"state":{"step":' || v || ',"notes":"' || repeat('n', 300)
                || '"}}'
            else '{"message":"step ' || v || ' of the plan is done","data":{"tool":"search","hits":[1,2,3]}}'
        end as data
    from generate_series(%(first)s::integer, %(last)s::integer) as v
) e;

-- floor_snapshots --
-- The floor's own: a state of about the same size every hundred events.
create table if not exists floor_snapshots (
    run_id text,
    version integer,
    state text,
    primary key (run_id, version)
);

-- floor_fill --
-- States for the floor to begin with.
insert into floor_snapshots
select %(run_id)s, v, json_build_object('status', 'executing', 'notes', repeat('n', 400))::text
from generate_series(100, %(length)s, 100) as v;

-- floor_snapshot --
-- The last state before a version.
select version, state
from floor_snapshots
where run_id = %(run_id)s and version <= %(version)s
order by version desc
limit 1;

-- floor_events --
-- The events after it.
select data
from events
where project_id = %(project_id)s and stream_id = %(run_id)s and version > %(after)s and version <= %(version)s
order by version;
