-- What the rules for a distributed schema look at.

-- tables --
-- Ordinary tables and whether they have a project.
select c.relname::text, exists (
    select from pg_attribute a where a.attrelid = c.oid and a.attname = 'project_id' and a.attnotnull
)
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
order by 1;

-- unique_indexes --
-- Primary and unique keys with the first of their columns.
select i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid, 1, true)
from pg_index i
join pg_class c on c.oid = i.indrelid
where c.relnamespace = 'public'::regnamespace and i.indisunique
order by 1, 2;

-- tables_without_primary_key --
-- Tables that rows cannot be told apart in.
select c.relname::text
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
    and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary);

-- foreign_keys --
-- Foreign keys with the first column on either side.
select k.conrelid::regclass::text, k.conname::text, a.attname::text, b.attname::text
from pg_constraint k
join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
join pg_attribute b on b.attrelid = k.confrelid and b.attnum = k.confkey[1]
where k.contype = 'f' and k.connamespace = 'public'::regnamespace;

-- sequences --
-- Sequences, identity columns' included.
select c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'S';

-- triggers --
-- Triggers that somebody wrote.
select tgname::text from pg_trigger where not tgisinternal;

-- rules --
-- Rewrite rules that are not views.
select rulename::text from pg_rules where schemaname = 'public';

-- extensions --
-- Extensions.
select extname::text from pg_extension;

-- foreign_types --
-- Columns whose type is not of the core.
select c.relname::text, a.attname::text, t.typname::text
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_type t on t.oid = a.atttypid
where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
    and t.typnamespace <> 'pg_catalog'::regnamespace;

-- functions --
-- Functions with their language, names of their arguments and source.
select p.proname::text, l.lanname::text, p.proargnames, p.prosrc
from pg_proc p
join pg_language l on l.oid = p.prolang
where p.pronamespace = 'public'::regnamespace
order by 1;

-- index_collations --
-- Indexed texts that are not compared bytewise.
select i.indexrelid::regclass::text, co.collname::text
from pg_index i
join pg_class c on c.oid = i.indrelid
cross join unnest(i.indcollation::oid[]) as used (collation_id)
join pg_collation co on co.oid = used.collation_id
where c.relnamespace = 'public'::regnamespace and co.collname <> 'C';

-- foreign_collations --
-- Columns with a collation of their own other than "C".
select c.relname::text, a.attname::text, co.collname::text
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_collation co on co.oid = a.attcollation
where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and co.collname not in ('C', 'default');
