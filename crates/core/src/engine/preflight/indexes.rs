//! The unique indexes that steps will build: what stands under their names, and whether they can be built.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use crate::contract::inspect::Finding;
use crate::engine::step::AnyStep;
use crate::storage::db::{Db, Role};
use crate::storage::indexes::{Found, IndexError, UniqueIndex, look};
use crate::storage::place::TABLE;

/// What keeps the indexes of some steps from being built, or from being those that are there already.
pub(super) fn buildable(steps: &[&dyn AnyStep], db: &mut Db) -> QueryResult<Vec<Finding>> {
    let mut findings = Vec::new();
    for index in steps.iter().flat_map(|step| step.indexes()) {
        findings.extend(of_index(index, db)?);
    }
    Ok(findings)
}

fn of_index(index: &UniqueIndex, db: &mut Db) -> QueryResult<Vec<Finding>> {
    let (name, table) = (index.name, index.table);
    match look(db, index) {
        Ok(Found::Valid) => Ok(Vec::new()),
        Ok(Found::Missing) => rights(index, db),
        Ok(Found::Invalid) => {
            let what = format!(
                "the index `{name}` of `{table}` is not valid: an earlier attempt to build it failed. It will be dropped and \
                 built again"
            );
            Ok([vec![Finding::note(Role::Target, what)], rights(index, db)?].concat())
        }
        Err(IndexError::Database(error)) => Err(error),
        Err(taken @ IndexError::Taken { .. }) => {
            let mend = format!("DROP INDEX {name};");
            Ok(vec![Finding::refusal(Role::Target, taken.to_string()).mend(mend)])
        }
    }
}

/// An index belongs to the owner of its table, who must be able to create in the schema.
#[derive(QueryableByName)]
struct Rights {
    #[diesel(sql_type = Text)]
    me: String,
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(sql_type = Text)]
    schema: String,
    #[diesel(sql_type = Bool)]
    owns: bool,
    #[diesel(sql_type = Bool)]
    creates: bool,
}

fn rights(index: &UniqueIndex, db: &mut Db) -> QueryResult<Vec<Finding>> {
    let Db::Pg(pg) = db else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT quote_ident(current_user) AS me, quote_ident(pg_get_userbyid(t.relowner)) AS owner, \
                t.relnamespace::regnamespace::text AS schema, pg_has_role(t.relowner, 'USAGE') AS owns, \
                has_schema_privilege(t.relnamespace, 'CREATE') AS creates FROM pg_class t WHERE t.oid = {TABLE}"
    );
    // A table that is not there is named elsewhere.
    let Some(found) = diesel::sql_query(sql).bind::<Text, _>(index.table).get_result::<Rights>(pg).optional()? else {
        return Ok(Vec::new());
    };
    let Rights { me, owner, schema, owns, creates } = found;
    let (name, table) = (index.name, index.table);
    let mut findings = Vec::new();
    if !owns {
        let what = format!(
            "the database user lacks a right: membership in {owner}, the owner of `{table}`, to make the index `{name}`"
        );
        findings.push(Finding::refusal(Role::Target, what).mend(format!("GRANT {owner} TO {me};")));
    }
    if !creates {
        let what =
            format!("the database user lacks a right: CREATE on the schema {schema}, to make the index `{name}`");
        findings.push(Finding::refusal(Role::Target, what).mend(format!("GRANT CREATE ON SCHEMA {schema} TO {me};")));
    }
    Ok(findings)
}
