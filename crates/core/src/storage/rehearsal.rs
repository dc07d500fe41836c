//! A rehearsal on a live target: on copies of its tables, in a schema that is never committed.
//!
//! The copies have the target's rows, columns, defaults and constraints, and foreign keys among themselves, so whatever the
//! target would refuse, they refuse. No row, sequence or table of the target is locked against a customer, and none of its ids is
//! taken (a column beside the id that counts by itself takes numbers). Triggers are not copied, for they may reach beyond the
//! tables; nor are foreign keys to tables of another schema, which would lock those.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Nullable, Text};

use super::place;

/// Where the copies are. It goes with the transaction.
const SCHEMA: &str = "replant_rehearsal";

/// A table that is copied.
#[derive(QueryableByName)]
struct Copied {
    /// Quoted where it must be.
    #[diesel(sql_type = Text)]
    name: String,
    /// With its schema.
    #[diesel(sql_type = Text)]
    original: String,
    /// All but the generated ones.
    #[diesel(sql_type = Text)]
    columns: String,
    /// The statement that sets the sequence of its `id` to where that of the target stands; none where it has none.
    #[diesel(sql_type = Nullable<Text>)]
    sequence: Option<String>,
}

/// The tables of some names and all that they point to. An identity gets a sequence of its own when it is copied; a column that
/// takes its values from a sequence by its default gets one here.
const COPIED: &str = "
WITH RECURSIVE wanted (oid) AS (
  SELECT c.oid FROM unnest($1) n (name) JOIN pg_class c ON c.relname = n.name
   WHERE c.relnamespace = to_regnamespace(current_setting('replant.schema')) AND c.relkind IN ('r', 'p')
  UNION
  SELECT k.confrelid FROM pg_constraint k JOIN wanted w ON k.conrelid = w.oid WHERE k.contype = 'f'
)
SELECT quote_ident(c.relname) AS name, format('%I.%I', s.nspname, c.relname) AS original,
       (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS columns,
       CASE WHEN q.name IS NOT NULL THEN
         CASE WHEN i.attidentity = '' THEN
           format('CREATE SEQUENCE $SCHEMA.%I INCREMENT BY %s OWNED BY $SCHEMA.%I.id; ALTER TABLE $SCHEMA.%I ALTER COLUMN id SET DEFAULT nextval(''$SCHEMA.%I''); ',
                  c.relname || '_id_seq', p.seqincrement, c.relname, c.relname, c.relname || '_id_seq')
         ELSE '' END
         || format('SELECT setval(pg_get_serial_sequence(''$SCHEMA.%I'', ''id''), last_value, is_called) FROM %s', c.relname, q.name)
       END AS sequence
  FROM wanted w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace s ON s.oid = c.relnamespace
  LEFT JOIN pg_attribute i ON i.attrelid = c.oid AND i.attname = 'id' AND NOT i.attisdropped
  LEFT JOIN LATERAL (SELECT pg_get_serial_sequence(format('%I.%I', s.nspname, c.relname), 'id') AS name WHERE i.attname IS NOT NULL) q ON true
  LEFT JOIN pg_sequence p ON p.seqrelid = q.name::regclass
 ORDER BY 1";

#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    statement: String,
}

/// The foreign keys of the copied tables, as the catalogue writes them: a name that the search path finds has no schema there.
const FOREIGN_KEYS: &str = "
SELECT format('ALTER TABLE $SCHEMA.%I ADD CONSTRAINT %I %s', c.relname, k.conname, pg_get_constraintdef(k.oid)) AS statement
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_class f ON f.oid = k.confrelid AND f.relnamespace = c.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0 AND c.relnamespace = to_regnamespace(current_setting('replant.schema'))
   AND quote_ident(c.relname) = ANY ($1)
 ORDER BY 1";

/// Copies tables, with all that they point to, and lets the session find the copies first. The transaction must be open.
///
/// # Errors
/// A right is missing, or the database fails.
pub(super) fn copy(pg: &mut PgConnection, tables: &[String]) -> QueryResult<()> {
    let in_schema = |sql: &str| sql.replace("$SCHEMA", SCHEMA);
    let copied: Vec<Copied> = diesel::sql_query(in_schema(COPIED)).bind::<Array<Text>, _>(tables).load(pg)?;
    let names: Vec<&str> = copied.iter().map(|table| table.name.as_str()).collect();
    let keys: Vec<ForeignKey> = diesel::sql_query(in_schema(FOREIGN_KEYS)).bind::<Array<Text>, _>(names).load(pg)?;
    pg.batch_execute(&format!("CREATE SCHEMA {SCHEMA}"))?;
    for Copied { name, original, columns, sequence } in &copied {
        pg.batch_execute(&format!(
            "CREATE UNLOGGED TABLE {SCHEMA}.{name} (LIKE {original} INCLUDING ALL); \
             INSERT INTO {SCHEMA}.{name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {original}; \
             ANALYZE {SCHEMA}.{name}"
        ))?;
        if let Some(sequence) = sequence {
            pg.batch_execute(sequence)?;
        }
    }
    let own = place::schema(pg)?;
    pg.batch_execute(&format!("SET search_path = {SCHEMA}, {own}, replant"))?;
    keys.iter().try_for_each(|key| pg.batch_execute(&key.statement))
}
