-- floor_schema --
-- What the floor folds into.
create table floor_runs (
    run_id text primary key,
    status text,
    version integer,
    attempts integer,
    created timestamptz,
    updated timestamptz,
    payload text,
    result text
);

-- lag --
-- For how many seconds the projection that is furthest behind has not taken the next event.
select coalesce(max(extract(epoch from ledger_now() - e.recorded_at)), 0)::float8
from projections p
join events e on e.project_id = p.project_id and e.position = p.position + 1
where p.project_id = %(project_id)s and p.status = 'live';

-- building --
-- How many generations are not up to date yet: those that are live, and those that are not ready.
select count(*)
from projections p
join ledger_heads h using (project_id)
where p.project_id = %(project_id)s and p.status <> 'retired'
    and (p.status = 'building' or p.position < h.position - 500);

-- forget --
-- All generations but the ones that are live.
delete from projections
where project_id = %(project_id)s and status <> 'live';
