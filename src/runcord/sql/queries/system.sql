-- What a server asks the database about itself.

-- applied_migrations --
-- The numbers of the migrations that the database has.
select number
from schema_migrations;
