-- What clients upload before they trigger with it.

create table uploads (
    project_id text collate "C" not null,
    path text collate "C" not null,
    content_type text not null,
    data bytea not null,
    expires_at timestamptz not null,
    primary key (project_id, path)
);
