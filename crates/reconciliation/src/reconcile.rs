//! Both sides held against each other: what finance and support look at after the migration.

mod brands;
mod credits;
mod cross_charges;
mod scope;
mod transfers;

use replant_core::ledger::status;
use serde::Serialize;

use crate::error::ReportError;
use crate::known::Known;
use crate::money::Decimals;
use crate::read::{Sources, at_one_moment};
use scope::Scope;

pub use brands::{BrandMoney, BrandTotal};
pub use credits::{CreditOff, CreditTotals};
pub use cross_charges::{BrandMonth, CrossChargeTotals};
pub use scope::Brand;
pub use transfers::{Transfer, TransferTotal};

/// The lines of a section, and what they come to.
#[derive(Debug, Clone, Serialize)]
pub struct Section<L, T> {
    /// What the lines come to.
    pub totals: T,
    /// The lines, in an order that is always the same.
    pub lines: Vec<L>,
}

impl<L, T> From<(Vec<L>, T)> for Section<L, T> {
    fn from((lines, totals): (Vec<L>, T)) -> Self {
        Self { totals, lines }
    }
}

/// Where both sides differ.
#[derive(Debug, Clone, Serialize)]
pub struct Reconciliation {
    /// Whether every step that was planned is done. If not, figures are missing that are still to come.
    pub complete: bool,
    /// The one brand that was asked for.
    pub brand: Option<Brand>,
    /// Trees charged and planted, by brand and month: all lines, those without a difference too.
    pub cross_charges: Section<BrandMonth, CrossChargeTotals>,
    /// What brands paid, were charged and were invoiced, by account and currency.
    pub brands: Section<BrandMoney, Vec<BrandTotal>>,
    /// Counters that are off by more than a penny, by account.
    pub credits: Section<CreditOff, CreditTotals>,
    /// Transfers that no list showed, by account.
    pub transfers: Section<Transfer, Vec<TransferTotal>>,
}

/// Holds both sides against each other. `brand` is a legacy brand id or a name, and restricts all to that brand and its
/// account.
///
/// # Errors
/// A database fails; there is no such brand, or several.
pub fn reconcile(sources: Sources<'_>, brand: Option<&str>) -> Result<Reconciliation, ReportError> {
    at_one_moment(sources, |sources| {
        let target = &mut *sources.target;
        let known = Known::read(target)?;
        let complete = status::steps(target)?.iter().all(|step| step.done);
        let decimals = Decimals::read(target)?;
        let scope = Scope::read(target, &known, brand)?;
        Ok(Reconciliation {
            complete,
            brand: if scope.one { scope.brands.first().cloned() } else { None },
            cross_charges: cross_charges::cross_charges(target, &known, &scope)?.into(),
            brands: brands::brands(target, &scope, &decimals)?.into(),
            transfers: transfers::transfers(target, &known, &scope, &decimals)?.into(),
            credits: credits::credits(sources, &known, &scope, &decimals)?.into(),
        })
    })
}
