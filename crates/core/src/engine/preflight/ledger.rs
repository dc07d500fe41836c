//! The ledger's schema in the target: whether it can be made, or is there and ours to use.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use crate::contract::inspect::Finding;
use crate::storage::db::{Db, Role};
use crate::storage::ledger::known_versions;

#[derive(QueryableByName)]
struct Schema {
    #[diesel(sql_type = Text)]
    me: String,
    #[diesel(sql_type = Text)]
    database: String,
    #[diesel(sql_type = Bool)]
    creates_schemas: bool,
    /// Who owns the schema; none where it is not there.
    #[diesel(sql_type = Nullable<Text>)]
    owner: Option<String>,
    #[diesel(sql_type = Bool)]
    uses: bool,
    #[diesel(sql_type = Bool)]
    creates: bool,
    /// Relations in it that can hold rows, or that it is known by.
    #[diesel(sql_type = BigInt)]
    relations: i64,
    /// Whether it is one of ours: what diesel notes of it is there.
    #[diesel(sql_type = Bool)]
    ours: bool,
    /// Tables that belong to a role of which the user is no member.
    #[diesel(sql_type = BigInt)]
    foreign: i64,
    /// Tables and sequences that the user may not use.
    #[diesel(sql_type = BigInt)]
    locked: i64,
    #[diesel(sql_type = Bool)]
    reads_versions: bool,
}

const SCHEMA: &str = "
SELECT quote_ident(current_user) AS me, quote_ident(current_database()) AS database,
       has_database_privilege(current_database(), 'CREATE') AS creates_schemas,
       quote_ident(pg_get_userbyid(n.nspowner)) AS owner,
       coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS uses, coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS creates,
       count(t.oid) AS relations, coalesce(bool_or(t.relname = '__diesel_schema_migrations'), false) AS ours,
       count(t.oid) FILTER (WHERE t.relkind = 'r' AND NOT pg_has_role(t.relowner, 'USAGE')) AS foreign,
       count(t.oid) FILTER (WHERE CASE t.relkind WHEN 'S' THEN NOT has_sequence_privilege(t.oid, 'USAGE')
         WHEN 'r' THEN NOT (has_table_privilege(t.oid, 'SELECT') AND has_table_privilege(t.oid, 'INSERT')
                            AND has_table_privilege(t.oid, 'UPDATE') AND has_table_privilege(t.oid, 'DELETE')) ELSE false END) AS locked,
       coalesce(bool_or(t.relname = '__diesel_schema_migrations' AND has_table_privilege(t.oid, 'SELECT')), false) AS reads_versions
  FROM (SELECT 1) one
  LEFT JOIN pg_namespace n ON n.nspname = 'replant'
  LEFT JOIN pg_class t ON t.relnamespace = n.oid AND t.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
 GROUP BY n.oid, n.nspowner";

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

const VERSIONS: &str = "SELECT version::text AS version FROM replant.__diesel_schema_migrations ORDER BY 1";

/// What keeps the ledger from being made, or from being used.
pub(super) fn usable(db: &mut Db) -> QueryResult<Vec<Finding>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let schema: Schema = diesel::sql_query(SCHEMA).get_result(pg)?;
    let mut found = schema.judge();
    if found.is_empty() && schema.reads_versions && schema.uses {
        let known = known_versions();
        let applied: Vec<Version> = diesel::sql_query(VERSIONS).load(pg)?;
        if applied.iter().any(|applied| !known.contains(&applied.version)) {
            let what = "the ledger, schema replant, was written by a later version of Replant, or is another program's";
            found.push(Finding::refusal(Role::Target, what).mend("use that version, or a later one"));
        }
        let pending = known.iter().any(|known| !applied.iter().any(|applied| applied.version == *known));
        if pending && schema.foreign > 0 {
            let owner = schema.owner.unwrap_or_default();
            let what = format!("the ledger must be brought up to date, which the role that made it can do: {owner}");
            let mend = format!("GRANT {owner} TO {};", schema.me);
            found.push(Finding::refusal(Role::Target, what).mend(mend));
        }
    }
    Ok(found)
}

impl Schema {
    fn judge(&self) -> Vec<Finding> {
        let Self { me, database, .. } = self;
        let lacks = |right: &str, mend: String| {
            Finding::refusal(Role::Target, format!("the database user lacks a right: {right}")).mend(mend)
        };
        let Some(owner) = &self.owner else {
            return match self.creates_schemas {
                true => Vec::new(),
                false => vec![lacks(
                    "CREATE on the database, for the schema replant (the ledger)",
                    format!("GRANT CREATE ON DATABASE {database} TO {me};"),
                )],
            };
        };
        let whose = format!("the schema replant (the ledger), which belongs to {owner}");
        let mut found = Vec::new();
        let rights = [(self.uses, "USAGE"), (self.creates, "CREATE")];
        let lacking: Vec<&str> = rights.iter().filter(|(has, _)| !has).map(|(_, right)| *right).collect();
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            found.push(lacks(&format!("{lacking} on {whose}"), format!("GRANT {lacking} ON SCHEMA replant TO {me};")));
        }
        if self.relations > 0 && !self.ours {
            let what =
                format!("the schema replant is another program's: it has {} relations, but no ledger", self.relations);
            found.push(
                Finding::refusal(Role::Target, what).mend("give that schema another name, or use another database"),
            );
        } else if self.locked > 0 {
            let right = format!(
                "SELECT, INSERT, UPDATE, DELETE on {} of the tables of the schema replant (the ledger), which belongs to {owner}",
                self.locked
            );
            let mend = format!("GRANT {owner} TO {me}; (or run as {owner}, who began the migration)");
            found.push(lacks(&right, mend));
        }
        found
    }
}
