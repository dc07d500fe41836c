//! A role of PostgreSQL that may do what a migration needs and nothing else, as on a real platform: a superuser passes by
//! rights and row-level security.

use diesel::QueryResult;
use diesel::connection::SimpleConnection;

use crate::database::Database;

/// A role with the rights that a migration needs, and the address of its database as that role.
#[derive(Debug, Clone)]
pub struct Restricted {
    role: String,
    address: String,
}

/// Lets the role `{r}` check foreign keys by sets, where the server can let it. Two who grant that at the same moment refuse each
/// other.
pub const GRANT_BY_SET: &str = "
DO $$ BEGIN
  WHILE current_setting('server_version_num')::int >= 150000 LOOP
    BEGIN
      EXECUTE 'GRANT SET ON PARAMETER session_replication_role TO {r}';
      EXIT;
    EXCEPTION WHEN unique_violation OR internal_error THEN PERFORM pg_sleep(0.02);
    END;
  END LOOP;
END $$;
";

/// `{d}` the database, `{s}` the schema, `{r}` the role.
const RIGHTS: &str = "
CREATE ROLE {r}_owner;
CREATE ROLE {r} LOGIN;
REVOKE ALL ON DATABASE {d} FROM PUBLIC;
REVOKE ALL ON SCHEMA {s} FROM PUBLIC;
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {d} TO {r};
GRANT USAGE, CREATE ON SCHEMA {s} TO {r};
GRANT USAGE ON SCHEMA {s} TO {r}_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {s} TO {r};
GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA {s} TO {r};
GRANT {r}_owner TO {r};
";

impl Restricted {
    /// Its name.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The address of its database as a configuration would name it, by this role.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Database {
    /// Makes a role that has the rights of a migration on this database, which is PostgreSQL and holds the target's tables. Those
    /// that an index is made on get an owner of their own, of whom the role is a member: a member of the one that owns the other
    /// tables would pass by their row-level security.
    ///
    /// # Errors
    /// The server refuses: the role is there already, or a table is not.
    pub fn restricted_role(&self, indexed: &[&str]) -> QueryResult<Restricted> {
        let role = format!("{}_mover", self.name());
        let owned = indexed.iter().map(|table| format!("ALTER TABLE {table} OWNER TO {{r}}_owner;\n"));
        let rights = RIGHTS.to_owned() + GRANT_BY_SET + &owned.collect::<String>();
        let filled = rights.replace("{d}", self.name()).replace("{s}", self.url().schema()).replace("{r}", &role);
        self.open().batch_execute(&filled)?;
        let address = self.address().replacen("//postgres@", &format!("//{role}@"), 1);
        Ok(Restricted { role, address })
    }
}
