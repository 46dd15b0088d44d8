-- Bulk operations: an inline view of the streams `bulk_…`.

create table bulk_operations (
    project_id text collate "C" not null,
    operation_id text collate "C" not null,
    version integer not null,
    position bigint not null,
    created_position bigint not null,
    status text collate "C" not null,
    state bytea not null,
    primary key (project_id, operation_id)
);
create index bulk_operations_created on bulk_operations (project_id, created_position desc);
create index bulk_operations_active on bulk_operations (created_position) where status in ('pending', 'running');
