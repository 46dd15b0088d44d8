-- wal --
-- How much has been written to the write-ahead log so far, and which checkpoint was the last.
select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint, checkpoint_lsn::text
from pg_control_checkpoint();

-- row_writes --
-- How many rows were inserted, updated and deleted in each table since the database was made.
select relname, n_tup_ins, n_tup_upd, n_tup_del
from pg_stat_user_tables
where n_tup_ins + n_tup_upd + n_tup_del > 0
order by n_tup_ins + n_tup_upd + n_tup_del desc;
