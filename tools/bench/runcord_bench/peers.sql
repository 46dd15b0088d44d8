-- pgqueuer_done --
-- How many of pgqueuer's jobs are done.
select count(*)
from pgqueuer_log
where status = 'successful';

-- procrastinate_done --
-- How many of procrastinate's jobs are done.
select count(*)
from procrastinate_jobs
where status = 'succeeded';
