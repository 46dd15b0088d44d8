-- What changed the counts of a tag takes two bytes each, where it took sixteen and was compressed: where in the area of the
-- row's 256 positions, and from and to which status a run moved.

-- Made anew, not altered, so that nothing of it has another name or place than in a database that is new.
create temporary table tag_index_before as select * from tag_index;
drop table tag_index;
create table tag_index (
    project_id text collate "C" not null,
    generation integer not null,
    tag_key text collate "C" not null,
    tag_value text collate "C" not null,
    area bigint not null,
    counts bigint[] not null,
    changes bytea not null,
    primary key (project_id, generation, tag_key, tag_value, area)
);
insert into tag_index
select project_id, generation, tag_key, tag_value, area, counts, (
    select coalesce(
        string_agg(decode(lpad(to_hex((u.at & 255) * 256 + u.move), 4, '0'), 'hex'), ''::bytea order by u.n), ''::bytea
    )
    from unnest(positions, moves) with ordinality as u (at, move, n)
)
from tag_index_before;
drop table tag_index_before;
