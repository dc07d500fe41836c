//! The rules of cross-charges.

use std::sync::Arc;

use reference::Currencies;
use replant_clean::Fault;
use replant_core::Rows as AnyRows;
use replant_core::prelude::*;

use crate::Lookups;
use crate::brand::BrandNames;
use crate::legacy::CrossCharge;
use crate::period::period;
use crate::price::{Charged, Price};
use crate::revisions::{Left, Place};
use crate::target::{NewCharge, Rows};

/// The codes of cross-charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum ChargeCode {
    /// A negative unit price.
    AmountNotPositive,
    /// No brand by id, nor one and no more by name.
    BrandUnknown,
    /// No month, or one in no form that is known.
    PeriodInvalid,
    /// No trees, or fewer.
    TreesNotPositive,
    /// It was called off.
    Cancelled,
    /// There is a later revision.
    Superseded,
    /// The platform has a charge of its own for that brand, month and cost centre.
    AlreadyNative,
    /// The total was not trees times unit price, or was not there.
    TotalRecomputed,
}

/// The cost centre of a charge that names none.
const GENERAL: &str = "general";

/// What a charge is judged with on its own.
pub(crate) struct Known {
    pub(crate) brands: Arc<Standings>,
    pub(crate) names: BrandNames,
    pub(crate) currencies: Arc<Currencies>,
}

/// What a charge says once every value is made right.
pub(crate) struct Fields {
    pub(crate) place: Place,
    pub(crate) revision: Option<i64>,
    charged: Charged,
    invoice_number: Option<String>,
}

/// Judges a cross-charge: it belongs to its brand.
pub(crate) fn charge(lookups: &Lookups, row: &CrossCharge, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
    let Fields { place, charged, invoice_number, .. } = lookups.known.judge(row, draft)?;
    match lookups.left.get(&row.id) {
        None => {}
        Some(Left::Superseded) => return Err(Refusal::skip(ChargeCode::Superseded)),
        Some(Left::Native) => return Err(Refusal::skip(ChargeCode::AlreadyNative)),
    }
    let id = lookups.plan.id_of(row.id).ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"))?;
    draft.write(NewCharge {
        id,
        brand_id: place.brand_id,
        period: place.period.into(),
        trees: charged.trees,
        unit_price_minor: charged.unit_price.minor,
        total_minor: charged.total.minor,
        currency: charged.total.currency.into(),
        cost_centre: place.cost_centre,
        invoice_number,
    });
    Ok(id)
}

impl Known {
    /// Judges a charge by itself: the parent, the value rules, then the rules of cross-charges but for those that compare it
    /// with others. The look ahead for those asks this too.
    ///
    /// # Errors
    /// The first code that applies.
    pub(crate) fn judge<R: AnyRows>(&self, row: &CrossCharge, draft: &mut Draft<R>) -> Result<Fields, Refusal> {
        // The total is counted whatever becomes of the charge.
        let price = Price::take(row, &self.currencies.0, draft);
        let brand = self.brands.of(row.brand_id.reference("brand_id")?);
        Refusal::of_parents([&brand])?;
        price.unit?;

        let text = |cell, column, draft: &mut Draft<R>| {
            let text = reference::text(cell, column, row.id, draft);
            text.map(|text| text.map(String::from))
        };
        let name = text(&row.brand_name, "brand_name", draft)?;
        let brand_id = match brand {
            Standing::Live(id) => Some(id),
            Standing::Missing | Standing::Skipped | Standing::Quarantined(_) => {
                name.and_then(|name| self.names.of(&name))
            }
        };
        let brand_id = brand_id.ok_or_else(|| {
            Refusal::quarantine(ChargeCode::BrandUnknown, "no brand by id, nor exactly one migrated brand by name")
        })?;
        let period = text(&row.period, "period", draft)?.and_then(|text| period(&text));
        let period = period.ok_or_else(|| Refusal::quarantine(ChargeCode::PeriodInvalid, "the period is no month"))?;
        if row.trees.read("trees")?.is_none_or(|trees| *trees <= 0) {
            return Err(Refusal::quarantine(ChargeCode::TreesNotPositive, "there are no trees, or fewer"));
        }
        let charged = price.charged.ok_or_else(|| reference::faulty(Fault::ValueOutOfRange))?;
        let cost_centre = text(&row.cost_centre, "cost_centre", draft)?.unwrap_or_else(|| GENERAL.to_owned());
        let status = text(&row.status, "status", draft)?;
        if status.is_some_and(|status| status.eq_ignore_ascii_case("void")) {
            return Err(Refusal::skip(ChargeCode::Cancelled));
        }
        Ok(Fields {
            place: Place { brand_id, period, cost_centre },
            revision: row.revision.read("revision")?.copied(),
            charged,
            invoice_number: text(&row.invoice_no, "invoice_no", draft)?,
        })
    }
}
