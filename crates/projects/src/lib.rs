#![doc = include_str!("../README.md")]

mod legacy;
mod schema;
mod target;
mod transform;

use std::sync::Arc;

use diesel::prelude::*;
use reference::Countries;
use replant_core::db::Db;
use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use schema::{project_species, projects};

/// The domain.
pub fn domain() -> Domain {
    Domain::new("projects").step::<Projects>()
}

/// Legacy `project` to platform `projects` and `project_species`.
pub struct Projects;

/// What the step knows before its first chunk.
pub struct Lookups {
    countries: Arc<Countries>,
    /// The platform's own projects by slug, as they were before the first chunk.
    platform: FxHashMap<String, i64>,
    /// Projects with the slug of another one.
    followers: Followers,
    plan: Arc<StepPlan>,
    /// In a replay: what became of the projects before.
    before: Arc<Standings>,
}

/// The projects that the platform had: slug and id.
#[derive(Serialize, Deserialize)]
struct Platform(Vec<(String, i64)>);

impl Frozen for Platform {
    const NAME: &'static str = "projects.platform";

    fn read(db: &mut Db, ours: &Ours) -> QueryResult<Self> {
        let mut found: Vec<(String, i64)> = projects::table.select((projects::slug, projects::id)).load(db)?;
        found.retain(|(_, id)| !ours.made("projects", *id));
        Ok(Self(found))
    }

    fn extend(&mut self, now: Self) {
        let known: FxHashSet<i64> = self.0.iter().map(|(_, id)| *id).collect();
        self.0.extend(now.0.into_iter().filter(|(_, id)| !known.contains(id)));
    }
}

impl Step for Projects {
    const NAME: &'static str = "projects.projects";
    const ABOUT: &'static str = "planting projects and their species, one for each slug";
    const AFTER: &'static [&'static str] = &[];
    const TARGET: &'static str = "projects";
    const PARTS: &'static [(&'static str, &'static str)] = &[("project_species", "project_id")];
    const MERGED: Option<&'static str> = Some("duplicate_slug");
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("kept as the key in the lineage; a new project gets an id of the platform's own")),
        ("name", Fate::Moved("projects.name; its slug is projects.slug")),
        ("country", Fate::Moved("projects.country_code")),
        ("species", Fate::Moved("project_species.species")),
        ("lat", Fate::Moved("projects.latitude")),
        ("lng", Fate::Moved("projects.longitude")),
        ("active", Fate::Moved("projects.active")),
    ];

    type Legacy = legacy::Project;
    type Lookups = Lookups;
    type Rows = target::Rows;

    fn writes() -> Vec<TableShape> {
        vec![
            shape_of::<projects::table>("projects"),
            shape_of::<project_species::table>("project_species"),
            reference::countries_shape(),
        ]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        let platform: Platform = cx.frozen()?;
        let mut leaders = FxHashMap::default();
        let mut followers = Vec::new();
        cx.scan(|row: legacy::Project| {
            // In the order of the keys: the first one that can be read leads.
            let Some(slug) = transform::slug_of(&row) else { return };
            match leaders.get(&slug) {
                Some(leader) => followers.push((*leader, row.id)),
                None => {
                    leaders.insert(slug, row.id);
                }
            }
        })?;
        Ok(Lookups {
            countries: cx.lookup::<Countries>()?,
            platform: platform.0.into_iter().collect(),
            followers: followers.into_iter().collect(),
            plan: cx.plan(),
            before: cx.before()?,
        })
    }

    fn followers(lookups: &Lookups) -> Option<&Followers> {
        Some(&lookups.followers)
    }

    fn transform(
        lookups: &Lookups,
        unit: &Unit<'_, legacy::Project>,
        draft: &mut Draft<target::Rows>,
    ) -> Result<i64, Refusal> {
        transform::project(lookups, unit, draft)
    }
}
