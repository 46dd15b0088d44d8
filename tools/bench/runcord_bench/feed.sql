-- append --
-- Events of runs as they are recorded: so many runs, each triggered, dequeued, attempted and completed.
select ledger_append(
    %(project_id)s, null, array_agg(stream_id order by n), array_agg(version order by n), array_agg(event_id order by n),
    array_agg(type order by n), array_agg(data order by n), array_agg(metadata order by n)
)
from (
    select row_number() over (order by r.run, k.version) as n, 'run_bench' || r.run as stream_id, k.version,
        gen_random_uuid() as event_id, k.type, convert_to(k.data, 'UTF8') as data,
        convert_to('{"actor":"apikey:key_bench","request_id":"req_' || r.run || '"}', 'UTF8') as metadata
    from generate_series(%(first)s::integer, %(first)s::integer + %(runs)s::integer - 1) as r (run)
    cross join (
        values
            (1, 'run.triggered.v1', '{"job_id":"job_bench","job_slug":"bench","job_version":1,"triggered_by":"manual",'
                || '"policy":{},"payload":{"customer":4711,"file":"invoice-2026-11.pdf","pages":[1,2,3]},'
                || '"tags":{"env":"prod"},"created_by":"apikey:key_bench"}'),
            (2, 'run.dequeued.v1', '{"worker_id":"worker-1","attempt":1,"fence":1,"lease_secs":60}'),
            (3, 'run.attempted.v1', '{"attempt":1}'),
            (4, 'run.completed.v1', '{"attempt":1,"result":{"ok":true,"pages":3}}')
    ) as k (version, type, data)
) e;

-- read --
-- What the floor reads of the ledger, from a position on.
select position, stream_id, version, event_id, type, recorded_at, data, metadata
from events
where project_id = %(project_id)s and position > %(after)s
order by position
limit %(limit)s;
