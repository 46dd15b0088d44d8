"""How a rebuild of the terms is held against them, and heals them.

Which terms share a row depends on what was committed together, and means nothing. Compared is what the rows say: which
term is filed at which position.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from runcord.projecting.comparison import Difference, Sides


class FiledTerms:
    """Terms, each filed at the positions of triggers."""

    def sides(self, conn: psycopg.Connection[Any], shadow: str) -> Sides:
        """Compare which terms are filed where."""
        live, rebuilt = (_FILED.format(table=sql.Identifier(schema, "run_terms")) for schema in ("public", shadow))
        return Sides(live, rebuilt, ("term", "position"), ())

    def heal(
        self,
        conn: psycopg.Connection[Any],
        project_id: str,
        shadow: str,
        differences: Sequence[Difference],
        moved: Sequence[str],
    ) -> int:
        """File what the shadow has filed, and no more, where they differed.

        Runs that have just moved are left to the next rebuild: their terms cannot be found without reading all.
        """
        params = {
            "project_id": project_id,
            "terms": [one.key["term"] for one in differences],
            "positions": [one.key["position"] for one in differences],
        }
        names = {
            "live": sql.Identifier("public", "run_terms"),
            "in_shadow": _IS_FILED.format(table=sql.Identifier(shadow, "run_terms")),
            "in_live": _IS_FILED.format(table=sql.Identifier("public", "run_terms")),
        }
        filed = conn.execute(_FILE.format(**names), params).rowcount
        taken = conn.execute(_TAKE_OUT.format(**names), params).rowcount
        conn.execute(_TIDY.format(**names), params)
        return filed + taken


_FILED = sql.SQL(
    "select t.term, t.position + n as position from {table} t cross join generate_series(0, 62) n "
    "where t.project_id = %(project_id)s and (t.mask >> n) & 1 = 1 and t.position + n <> all (array("
    "select e.position from events e where e.project_id = %(project_id)s and e.stream_id = any (%(moved)s::text[]) "
    "and e.version = 1)) group by 1, 2"
)
_IS_FILED = sql.SQL(
    "exists (select from {table} t where t.project_id = %(project_id)s and t.term = u.term "
    "and t.position between u.position - 62 and u.position and (t.mask >> (u.position - t.position)::integer) & 1 = 1)"
)
_FILE = sql.SQL(
    "insert into {live} as l (project_id, term, position, mask) select %(project_id)s, u.term, u.position, 1 "
    "from unnest(%(terms)s::bigint[], %(positions)s::bigint[]) as u (term, position) "
    "where {in_shadow} and not {in_live} on conflict (project_id, term, position) do update set mask = l.mask | 1"
)
_TAKE_OUT = sql.SQL(
    "update {live} l set mask = l.mask & ~wrong.bits from ("
    "select t.term, t.position, bit_or(1::bigint << (u.position - t.position)::integer) as bits "
    "from unnest(%(terms)s::bigint[], %(positions)s::bigint[]) as u (term, position) "
    "join {live} t on t.project_id = %(project_id)s and t.term = u.term "
    "and t.position between u.position - 62 and u.position where not {in_shadow} group by 1, 2) wrong "
    "where l.project_id = %(project_id)s and l.term = wrong.term and l.position = wrong.position "
    "and l.mask & wrong.bits <> 0"
)
_TIDY = sql.SQL(
    "delete from {live} l where l.project_id = %(project_id)s and l.term = any (%(terms)s::bigint[]) and l.mask = 0"
)
