//! Legacy projects as they truly are.

use diesel::prelude::*;
use replant_core::prelude::*;
use replant_core::{BadCell, db::MultiBackend};
use serde::{Deserialize, Serialize};

use crate::schema::project;

/// A row of `project`.
#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = project, check_for_backend(MultiBackend))]
pub struct Project {
    /// The key.
    pub id: Key,
    /// The name; its slug says which projects are one.
    pub name: Cell<String>,
    /// A country: a code, a name, or neither.
    pub country: Cell<String>,
    /// Species, with `;` or `,` between.
    pub species: Cell<String>,
    /// Latitude, with decimal point or comma; sometimes the longitude.
    pub lat: Cell<String>,
    /// Longitude, likewise.
    pub lng: Cell<String>,
    /// A flag.
    pub active: Cell<String>,
}

replant_core::legacy!(Project => project, "project", key = id);

impl Project {
    /// Whether every cell holds what its column says: only such a row can be one with others.
    ///
    /// # Errors
    /// The first bad cell.
    pub fn readable(&self) -> Result<(), BadCell> {
        self.name.text("name")?;
        self.country.text("country")?;
        self.species.text("species")?;
        self.lat.text("lat")?;
        self.lng.text("lng")?;
        self.active.text("active").map(|_| ())
    }
}
