-- count_runs --
-- How many runs a project has, or how many that have a status.
select count(*)
from runs
where project_id = %(project_id)s and (%(status)s::text is null or status = %(status)s);
