-- Writers of streams that come from outside of an attempt, and send again what may have been lost.

alter table run_chunks add column writer text collate "C";
alter table run_chunks add column writer_index bigint;
-- A writer that is cut off sends again what it does not know to be here; each chunk counts once.
create unique index run_chunks_writer on run_chunks (project_id, run_id, stream_id, writer, writer_index)
    where writer is not null;
