"""What a database holds, by name and definition, as Postgres itself tells it; members of extensions are left out."""

import asyncio

import asyncpg

OBJECTS = """
SELECT 'table ' || c.relname || '.' || a.attname AS name, concat_ws(
        ' ', format_type(a.atttypid, a.atttypmod), l.collname, CASE WHEN a.attnotnull THEN 'NOT NULL' END,
        CASE a.attgenerated WHEN '' THEN 'DEFAULT ' ELSE 'GENERATED ' END || pg_get_expr(d.adbin, d.adrelid)
    ) AS definition
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.collname <> 'default'
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'relation ' || relname, concat_ws(' ', relkind::text, relpersistence::text) FROM pg_class
WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'constraint ' || conname, conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL
SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'trigger ' || tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'function ' || p.oid::regprocedure, pg_get_functiondef(p.oid) FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = p.oid AND e.deptype = 'e')
UNION ALL
SELECT 'type ' || t.typname, concat_ws(
        ' ', t.typtype::text,
        (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
    ) FROM pg_type t
WHERE t.typnamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid IN (t.oid, t.typelem) AND e.deptype = 'e')
UNION ALL
SELECT 'extension ' || extname, '' FROM pg_extension
UNION ALL
SELECT 'schema ' || nspname, '' FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
"""


def snapshot(url: str) -> dict[str, str]:
    """Everything in the database's public schema, and what stands beside it: name to definition."""
    return asyncio.run(_snapshot(url))


async def _snapshot(url: str) -> dict[str, str]:
    connection = await asyncpg.connect(url)
    try:
        return {row["name"]: row["definition"] for row in await connection.fetch(OBJECTS)}
    finally:
        await connection.close()
