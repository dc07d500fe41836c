//! The brands that a reconciliation speaks of: all of them, or the one that was asked for.

use diesel::prelude::*;
use replant_clean as clean;
use replant_core::ledger::history;
use replant_core::{Key, db::Db};
use serde::Serialize;

use crate::error::{Reading, ReportError};
use crate::known::Known;
use crate::schema::target::brands;

const TABLE: &str = "brand";

/// A brand of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Brand {
    /// The legacy brand; none where the platform's own staff entered it.
    pub legacy_brand_id: Option<Key>,
    /// The brand on the platform.
    pub brand_id: i64,
    /// Its account.
    pub account_id: i64,
    /// Its name.
    pub brand: String,
}

/// The brands of a reconciliation, by legacy id; those without one last, by their own.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) brands: Vec<Brand>,
    /// Whether one brand was asked for.
    pub(crate) one: bool,
}

impl Scope {
    pub(crate) fn read(target: &mut Db, known: &Known, asked: Option<&str>) -> Result<Self, ReportError> {
        let behind = known.migrated(target, TABLE, "brands")?;
        let rows: Vec<(i64, i64, String)> = brands::table
            .select((brands::id, brands::account_id, brands::name))
            .load(target)
            .reading("the platform's brands")?;
        let brand = |(brand_id, account_id, brand)| Brand {
            legacy_brand_id: behind.iter().find(|(_, id)| *id == brand_id).map(|(key, _)| *key),
            brand_id,
            account_id,
            brand,
        };
        let mut all: Vec<Brand> = rows.into_iter().map(brand).collect();
        all.sort_by_key(|brand| (brand.legacy_brand_id.is_none(), brand.legacy_brand_id, brand.brand_id));
        match asked {
            None => Ok(Self { brands: all, one: false }),
            Some(asked) => Ok(Self { brands: vec![chosen(target, known, all, asked)?], one: true }),
        }
    }

    /// The place of a brand of the platform among those that are spoken of.
    pub(crate) fn place(&self, brand_id: i64) -> Option<usize> {
        self.brands.iter().position(|brand| brand.brand_id == brand_id)
    }

    /// Whether an account is spoken of.
    pub(crate) fn has_account(&self, account_id: i64) -> bool {
        !self.one || self.is_of_brand(account_id)
    }

    /// Whether an account is that of a brand that is spoken of.
    pub(crate) fn is_of_brand(&self, account_id: i64) -> bool {
        self.brands.iter().any(|brand| brand.account_id == account_id)
    }
}

/// The brand with a legacy id, else the one with a name, in any case (rules: Cross-charges).
fn chosen(target: &mut Db, known: &Known, all: Vec<Brand>, asked: &str) -> Result<Brand, ReportError> {
    if let Ok(id) = asked.trim().parse::<Key>() {
        if let Some(found) = all.iter().find(|brand| brand.legacy_brand_id == Some(id)) {
            return Ok(found.clone());
        }
        let row = known.step_of(TABLE).map(|step| history::of_legacy(target, step, id)).transpose()?.flatten();
        if let Some(row) = row {
            let code = row.code.unwrap_or_default();
            return Err(ReportError::BrandNotThere { id, outcome: row.outcome.to_string(), code });
        }
    }
    let folded = |name: &str| clean::text(name).value.map(|name| clean::casefold(&name));
    let wanted = folded(asked).ok_or(ReportError::NoBrand)?;
    let mut named: Vec<Brand> =
        all.into_iter().filter(|brand| folded(&brand.brand).as_ref() == Some(&wanted)).collect();
    match named.len() {
        0 => Err(ReportError::NoBrand),
        1 => Ok(named.remove(0)),
        _ => Err(ReportError::SeveralBrands(
            named.iter().map(|brand| brand.legacy_brand_id.unwrap_or(brand.brand_id)).collect(),
        )),
    }
}
