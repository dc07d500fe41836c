//! The brand of a charge that names it by name alone.

use replant_clean as clean;
use replant_core::prelude::*;
use rustc_hash::FxHashMap;

use crate::legacy::NamedBrand;

/// The migrated brands by casefolded name: the platform's id where exactly one has it.
#[derive(Debug, Default)]
pub(crate) struct BrandNames(FxHashMap<String, Option<i64>>);

impl BrandNames {
    /// Reads the brands, whose step is done.
    ///
    /// # Errors
    /// The legacy database fails.
    pub(crate) fn read(cx: &Prepare<'_>, brands: &Standings) -> Result<Self, PrepareError> {
        let mut names = Self::default();
        cx.scan(|brand: NamedBrand| {
            if let (Standing::Live(id), Some(name)) = (brands.of(Some(brand.id)), brand.name.good()) {
                names.add(name, id);
            }
        })?;
        Ok(names)
    }

    /// Takes in a migrated brand with its name as it is stored.
    pub(crate) fn add(&mut self, name: &str, id: i64) {
        if let Some(name) = clean::text(name).value {
            self.0.entry(clean::casefold(&name)).and_modify(|known| *known = None).or_insert(Some(id));
        }
    }

    /// The brand with a name, which has gone through the text rule; none where none or several have it.
    pub(crate) fn of(&self, name: &str) -> Option<i64> {
        self.0.get(&clean::casefold(name)).copied().flatten()
    }
}
