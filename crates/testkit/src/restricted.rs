//! A role of PostgreSQL that may do what a migration needs and nothing else, as on a real platform: a superuser passes by
//! rights and row-level security.

use diesel::QueryResult;
use diesel::connection::SimpleConnection;

use crate::database::Database;

/// A role with the rights that the README asks for, and the address of its database as that role.
#[derive(Debug, Clone)]
pub struct Restricted {
    role: String,
    address: String,
}

/// `{d}` the database, `{r}` the role. The owner of `accounts` is a role of its own: a member of the one that owns the other
/// tables would pass by their row-level security.
const RIGHTS: &str = "
CREATE ROLE {r}_owner;
ALTER TABLE accounts OWNER TO {r}_owner;
CREATE ROLE {r} LOGIN;
REVOKE ALL ON DATABASE {d} FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {d} TO {r};
GRANT USAGE, CREATE ON SCHEMA public TO {r};
GRANT USAGE ON SCHEMA public TO {r}_owner;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {r};
GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA public TO {r};
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
    /// Makes a role that has the rights of the README on this database, which is PostgreSQL and holds the platform's tables.
    ///
    /// # Errors
    /// The server refuses: the role is there already, or `accounts` is not.
    pub fn restricted_role(&self) -> QueryResult<Restricted> {
        let role = format!("{}_mover", self.name());
        self.open().batch_execute(&RIGHTS.replace("{d}", self.name()).replace("{r}", &role))?;
        let address = self.address().replacen("//postgres@", &format!("//{role}@"), 1);
        Ok(Restricted { role, address })
    }
}
