//! Projects as the platform will have them.

use diesel::prelude::*;
use serde::Serialize;

use crate::schema::{project_species, projects};

/// A row of `projects`.
#[derive(Debug, Clone, PartialEq, Insertable, Serialize)]
#[diesel(table_name = projects, treat_none_as_default_value = false)]
pub struct NewProject {
    /// The id, from the step's block.
    pub id: i64,
    /// Unique; not empty.
    pub slug: String,
    /// Not empty.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// Degrees north. There is a longitude where there is a latitude.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// Whether it can be planted in.
    pub active: bool,
}

/// A row of `project_species`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = project_species, treat_none_as_default_value = false)]
pub struct NewSpecies {
    /// The project.
    pub project_id: i64,
    /// Not empty; each once in a project.
    pub species: String,
}

replant_core::insert!(NewProject => projects, together = [[latitude, longitude]]);
replant_core::insert!(NewSpecies => project_species);

replant_core::rows! {
    /// What a chunk of projects writes.
    pub struct Rows { projects: NewProject, species: NewSpecies }
}

#[cfg(test)]
impl Rows {
    /// The projects and their species, in the order in which they were written.
    pub(crate) fn written(&self) -> (&[NewProject], &[NewSpecies]) {
        (self.projects.rows(), self.species.rows())
    }
}
