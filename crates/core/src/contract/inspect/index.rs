//! A unique index that a step makes in the target once its rows are there.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, SmallInt, Text};

use super::Finding;
use crate::storage::db::{Db, Role};

/// A unique index of one expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UniqueIndex {
    /// Its name.
    pub name: &'static str,
    /// The table, of the schema `public`.
    pub table: &'static str,
    /// The column or the expression: `lower(email)`.
    pub on: &'static str,
    /// Which rows are in it: `merged_into IS NULL`; none: all.
    pub condition: Option<&'static str>,
}

/// What stands under the name of the index, and whether one can be made: an index belongs to the owner of its table, who
/// must be able to create in the schema.
#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    me: String,
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(sql_type = Bool)]
    owns: bool,
    #[diesel(sql_type = Bool)]
    creates: bool,
    /// The kind of the relation that has the name, if there is one.
    #[diesel(sql_type = Nullable<Text>)]
    there: Option<String>,
    /// Whether it is an index of the table.
    #[diesel(sql_type = Bool)]
    here: bool,
    #[diesel(sql_type = Bool)]
    valid: bool,
    #[diesel(sql_type = Bool)]
    unique: bool,
    #[diesel(sql_type = SmallInt)]
    columns: i16,
    #[diesel(sql_type = Nullable<Text>)]
    expression: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    condition: Option<String>,
}

const FOUND: &str = "
SELECT quote_ident(current_user) AS me, quote_ident(pg_get_userbyid(t.relowner)) AS owner,
       pg_has_role(t.relowner, 'USAGE') AS owns, has_schema_privilege(t.relnamespace, 'CREATE') AS creates,
       i.relkind::text AS there, coalesce(x.indrelid = t.oid, false) AS here,
       coalesce(x.indisvalid AND x.indisready, false) AS valid, coalesce(x.indisunique, false) AS unique,
       coalesce(x.indnatts, 0::smallint) AS columns,
       pg_get_indexdef(i.oid, 1, true) AS expression, pg_get_expr(x.indpred, x.indrelid) AS condition
  FROM pg_class t
  LEFT JOIN pg_class i ON i.relnamespace = t.relnamespace AND i.relname = $2
  LEFT JOIN pg_index x ON x.indexrelid = i.oid
 WHERE t.oid = to_regclass(format('public.%I', $1))";

#[derive(QueryableByName)]
struct Lite {
    #[diesel(sql_type = Text)]
    sql: String,
}

impl UniqueIndex {
    /// The statement that makes it.
    pub fn statement(&self) -> String {
        let condition = self.condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        format!("CREATE UNIQUE INDEX {} ON {} ({}){condition}", self.name, self.table, self.on)
    }

    pub(super) fn inspect(&self, db: &mut Db) -> QueryResult<Vec<Finding>> {
        match db {
            Db::Pg(pg) => {
                let found = diesel::sql_query(FOUND).bind::<Text, _>(self.table).bind::<Text, _>(self.name);
                // A table that is not there is named elsewhere.
                let found: Option<Found> = found.get_result(pg).optional()?;
                Ok(found.map(|found| self.judge(&found)).unwrap_or_default())
            }
            _ => {
                let sql = "SELECT coalesce(sql, '') AS sql FROM sqlite_master WHERE name = ?";
                let found: Option<Lite> =
                    diesel::sql_query(sql).bind::<Text, _>(self.name).get_result(db).optional()?;
                Ok(found.and_then(|found| self.judge_lite(&found.sql)).into_iter().collect())
            }
        }
    }

    /// SQLite keeps the statement that made it.
    fn judge_lite(&self, made_by: &str) -> Option<Finding> {
        let found = normal(&made_by.replace("IF NOT EXISTS", ""));
        match normal(&self.statement()) {
            meant if meant == found => None,
            _ if !found.starts_with("createunique") => Some(self.other("it is not unique")),
            _ => Some(self.other("it is another one")),
        }
    }

    fn judge(&self, found: &Found) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (name, table) = (self.name, self.table);
        match &found.there {
            None => {}
            Some(kind) if kind != "i" => {
                let what = format!("`{name}`, the name of a unique index of `{table}` that the run makes, is taken");
                return vec![Finding::refusal(Role::Target, what).mend("give the relation of that name another one")];
            }
            Some(_) if !found.here => return vec![self.other("it is of another table")],
            Some(_) if !found.unique => return vec![self.other("it is not unique")],
            Some(_) if !self.is_meant(found) => return vec![self.other("it is another one")],
            Some(_) if found.valid => return findings,
            Some(_) => {
                let what = format!(
                    "the index `{name}` of `{table}` is not valid: an earlier attempt to build it failed. It will be dropped \
                     and built again"
                );
                findings.push(Finding::note(Role::Target, what));
            }
        }
        if !found.owns {
            let what = format!(
                "the database user lacks a right: membership in {}, the owner of `{table}`, to make the index `{name}`",
                found.owner
            );
            findings.push(Finding::refusal(Role::Target, what).mend(format!("GRANT {} TO {};", found.owner, found.me)));
        }
        if !found.creates {
            let what =
                format!("the database user lacks a right: CREATE on the schema public, to make the index `{name}`");
            let mend = format!("GRANT CREATE ON SCHEMA public TO {};", found.me);
            findings.push(Finding::refusal(Role::Target, what).mend(mend));
        }
        findings
    }

    /// Whether the index that is there is of the same rows and the same expression.
    fn is_meant(&self, found: &Found) -> bool {
        found.columns == 1
            && found.expression.as_deref().map(normal).as_deref() == Some(normal(self.on).as_str())
            && found.condition.as_deref().map(normal) == self.condition.map(normal)
    }

    fn other(&self, why: &str) -> Finding {
        let what =
            format!("an index `{}` is there already, but {why}: the run makes it as {}", self.name, self.statement());
        Finding::refusal(Role::Target, what).mend(format!("DROP INDEX {};", self.name))
    }
}

/// An expression without what servers write in different ways: case, quotes, blanks, parentheses, and the casts of the types of
/// text to `text`.
fn normal(expression: &str) -> String {
    let lower = expression.to_lowercase().replace("::text", "").replace("::character varying", "");
    lower.chars().filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')' | '"' | ';')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_expression_in_the_words_of_several_servers_is_one() {
        for expression in ["lower(email)", "lower((email)::text)", "LOWER( \"email\" )"] {
            assert_eq!(normal(expression), normal("lower(email)"));
        }
        assert_ne!(normal("upper(email)"), normal("lower(email)"));
    }
}
