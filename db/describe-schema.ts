import pg from 'pg'

/** The tables with their columns, constraints and indexes as Postgres itself writes them down. */
const statement = `
select format(
    E'create table %I (\\n%s\\n)%s;', c.relname,
    (
      select string_agg(line, E',\\n')
      from (
        select format('  %I %s', a.attname, format_type(a.atttypid, a.atttypmod))
          || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
          || case when a.attnotnull then ' not null' else '' end
          || case a.attidentity when 'a' then ' generated always as identity' else '' end as line
        from pg_attribute a
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attnum
      ) as columns
    ),
    coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', '')
  ) as text,
  array(
    select format('alter table %I add constraint %I %s;', c.relname, o.conname, pg_get_constraintdef(o.oid))
    from pg_constraint o
    where o.conrelid = c.oid and o.contype <> 'n'
    order by o.contype <> 'p', o.conname
  ) as constraints,
  array(
    select pg_get_indexdef(i.indexrelid) || ';'
    from pg_index i
    join pg_class x on x.oid = i.indexrelid
    where i.indrelid = c.oid
      and not exists (select from pg_constraint o where o.conindid = i.indexrelid and o.contype in ('p', 'u'))
    order by x.relname
  ) as indexes,
  array(
    select pg_get_functiondef(t.tgfoid) || E';\n' || pg_get_triggerdef(t.oid) || ';'
    from pg_trigger t
    where t.tgrelid = c.oid and not t.tgisinternal
    order by t.tgname desc
  ) as triggers
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = current_schema() and c.relkind = 'r' and c.relname not like 'migration%'
order by c.relname`

/** Those that belong to no column. */
const sequences = `
select format('create sequence %I minvalue %s;', c.relname, s.seqmin) as text
from pg_sequence s
join pg_class c on c.oid = s.seqrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = current_schema()
  and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('i', 'a') and d.refobjsubid > 0)
order by c.relname`

/** The text of db/schema.sql for a database that was migrated: the one place to read the schema. */
export async function describeSchema(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ text: string; constraints: string[]; indexes: string[]; triggers: string[] }>(
      statement
    )
    const tables = rows.map(({ text, constraints, indexes, triggers }) =>
      [text, ...constraints, ...indexes, ...triggers].join('\n')
    )
    const free = (await client.query<{ text: string }>(sequences)).rows.map(({ text }) => text)
    return `-- What db/migrations make. Written by \`npm run schema\`; do not edit.\n\n${[...free, ...tables].join('\n\n')}\n`
  } finally {
    await client.end()
  }
}
