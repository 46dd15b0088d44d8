-- What somebody has to go on with, found again and again in all projects.
create index projections_unfinished on projections (status) where status in ('building', 'ready', 'dropping');
