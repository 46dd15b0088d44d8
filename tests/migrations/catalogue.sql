-- What a database consists of, a row a thing: two databases with the same rows have the same schema.

-- tables --
-- Tables and views with their options, owners and grants.
select c.relkind::text as kind, c.relname::text as name, c.relpersistence::text, coalesce(c.reloptions::text, ''),
    coalesce(c.relacl::text, ''), pg_get_userbyid(c.relowner)::text, c.relrowsecurity, c.relreplident::text,
    coalesce(am.amname::text, '')
from pg_class c
left join pg_am am on am.oid = c.relam
where c.relnamespace = 'public'::regnamespace
order by 1, 2;

-- columns --
-- Columns in their order.
select c.relname::text as name, a.attnum, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    coalesce(co.collname::text, ''), coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attidentity::text,
    a.attgenerated::text, a.attstorage::text, a.attcompression::text, coalesce(a.attacl::text, '')
from pg_attribute a
join pg_class c on c.oid = a.attrelid
left join pg_collation co on co.oid = a.attcollation
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
order by 1, 2;

-- constraints --
-- Keys and checks.
select conrelid::regclass::text as name, conname::text, contype::text, pg_get_constraintdef(oid, true), convalidated
from pg_constraint
where connamespace = 'public'::regnamespace
order by 1, 2;

-- indexes --
-- Indexes.
select tablename::text as name, indexname::text, indexdef
from pg_indexes
where schemaname = 'public'
order by 1, 2;

-- views --
-- Views.
select viewname::text as name, definition
from pg_views
where schemaname = 'public'
order by 1;

-- functions --
-- Functions.
select oid::regprocedure::text as name, pg_get_functiondef(oid), coalesce(proacl::text, '')
from pg_proc
where pronamespace = 'public'::regnamespace
order by 1;

-- triggers --
-- Triggers of users.
select tgrelid::regclass::text as name, tgname::text, pg_get_triggerdef(oid)
from pg_trigger
where not tgisinternal
order by 1, 2;

-- rules --
-- Rewrite rules that are no views.
select tablename::text as name, rulename::text, definition
from pg_rules
where schemaname = 'public'
order by 1, 2;

-- types --
-- Types that are no tables' rows, and sequences' settings.
select t.typname::text as name, t.typtype::text
from pg_type t
left join pg_class c on c.oid = t.typrelid
where t.typnamespace = 'public'::regnamespace and t.typelem = 0 and (c.relkind is null or c.relkind = 'c')
order by 1;

-- sequences --
-- Sequences.
select sequencename::text as name
from pg_sequences
where schemaname = 'public'
order by 1;

-- schemas --
-- Schemas of users with their grants.
select nspname::text as name, coalesce(nspacl::text, '')
from pg_namespace
where nspname !~ '^pg_' and nspname <> 'information_schema'
order by 1;

-- extensions --
-- Extensions.
select extname::text as name
from pg_extension
order by 1;
