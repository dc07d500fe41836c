//! A plantation becomes a planting: what is written, and what the rules change on the way. Pure.

use std::sync::Arc;

use replant_clean as clean;
use replant_core::prelude::*;
use replant_core::{KeySet, StepPlan};
use users::Emails;

use crate::cost;
use crate::judge::{Known, Planted, Planting, PlantingCode, judge, live};
use crate::legacy::Plantation;
use crate::target::{NewPlanting, Rows};

/// What `transform` asks.
pub struct Lookups {
    pub(crate) known: Known,
    pub(crate) payments: Arc<Standings>,
    pub(crate) emails: Arc<Emails>,
    /// Rows that were posted before.
    pub(crate) doubles: KeySet,
    pub(crate) plan: Arc<StepPlan>,
}

/// Judges a plantation.
pub(crate) fn planting(lookups: &Lookups, row: &Plantation, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
    // The cost is counted whatever becomes of the row.
    let cost = cost::read(row, &lookups.known.currencies.0);
    if let Ok(cost) = cost {
        cost.note(row, draft)?;
    }
    let planting = judge(&lookups.known, row, cost)?;
    if lookups.doubles.contains(row.id) {
        return Err(Refusal::skip(PlantingCode::Duplicate));
    }
    let id = lookups.plan.id_of(row.id).ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"))?;
    let planting = new_planting(lookups, id, &planting, row, draft)?;
    draft.write(planting);
    Ok(id)
}

fn new_planting(
    lookups: &Lookups,
    id: i64,
    planting: &Planting,
    row: &Plantation,
    draft: &mut Draft<Rows>,
) -> Result<NewPlanting, Refusal> {
    reference::text(&row.status, "status", row.id, draft)?;
    reference::text(&row.source, "source", row.id, draft)?;
    let message = reference::text(&row.gift_message, "gift_message", row.id, draft)?;
    let recipient_email = recipient_email(row, draft)?;
    let money = planting.cost.money();
    Ok(NewPlanting {
        id,
        account_id: planting.account_id,
        brand_id: brand_id(planting, row, draft),
        project_id: planting.project_id,
        payment_id: payment_id(lookups, planting, row, draft),
        kind: planting.kind.into(),
        status: planting.status.into(),
        trees: planting.trees,
        cost_minor: money.map(|money| money.minor),
        currency: money.map(|money| money.currency.into()),
        recipient_account_id: recipient_email
            .as_deref()
            .and_then(|email| lookups.emails.account(&lookups.known.users, email)),
        recipient_email,
        message: message.map(String::from),
        planted_at: planted_at(planting.planted, row, draft),
    })
}

fn brand_id(planting: &Planting, row: &Plantation, draft: &mut Draft<Rows>) -> Option<i64> {
    if planting.brand.is_some() && planting.brand_id.is_none() {
        draft.repair(row.id, PlantingCode::BrandLinkBroken, "brand_id", row.brand_id.stored(), None);
    }
    planting.brand_id
}

fn payment_id(lookups: &Lookups, planting: &Planting, row: &Plantation, draft: &mut Draft<Rows>) -> Option<i64> {
    let payment = planting.payment?;
    let payment_id = live(&lookups.payments.of(Some(payment)));
    if payment_id.is_none() {
        let column = "finance_transaction_id";
        draft.repair(row.id, PlantingCode::PaymentLinkBroken, column, row.finance_transaction_id.stored(), None);
    }
    payment_id
}

fn planted_at(planted: Planted, row: &Plantation, draft: &mut Draft<Rows>) -> Instant {
    match planted {
        Planted::At(planted) => planted.into(),
        Planted::Derived(created) => {
            let before = match &row.planted_when {
                Cell::Good(wall) => Some(wall.0.strftime("%Y-%m-%d %H:%M:%S%.f").to_string()),
                Cell::Null => None,
                Cell::Bad(unfit) => Some(unfit.raw.clone()),
            };
            draft.repair(row.id, PlantingCode::PlantedAtDerived, "planted_when", before, created.to_string());
            created.into()
        }
    }
}

/// Whom the planting is for, whatever its source is.
fn recipient_email(row: &Plantation, draft: &mut Draft<Rows>) -> Result<Option<String>, Refusal> {
    let Some(text) = reference::text(&row.gift_email, "gift_email", row.id, draft)? else { return Ok(None) };
    let email = clean::email_cleaned(&text);
    if email.is_none() {
        draft.repair(row.id, PlantingCode::RecipientEmailInvalid, "gift_email", row.gift_email.good().cloned(), None);
    }
    Ok(email)
}

#[cfg(test)]
mod tests {
    use replant_core::{IdBlock, Root};

    use super::*;
    use crate::judge::tests::{known, plain};

    /// The keys 1 to 9 have the ids 201 to 209; row 8 was posted before; user 2 is quarantined.
    fn lookups() -> Lookups {
        let root = Root { step: "users.accounts".to_owned(), key: 2 };
        let users = Standings::from_rows([(1, Standing::Live(101)), (2, Standing::Quarantined(root))]);
        Lookups {
            known: Known { users: Arc::new(users), ..known() },
            payments: Arc::new(Standings::from_rows([(70, Standing::Live(170))])),
            emails: Arc::new(Emails::default()),
            doubles: [8].into_iter().collect(),
            plan: Arc::new(StepPlan::of(1..=9, IdBlock::new(vec![(201, 9)]))),
        }
    }

    fn costing(cost: f32, currency: &str) -> Plantation {
        Plantation { cost: Cell::Good(cost), currency: Cell::Good(currency.to_owned()), ..plain() }
    }

    /// The id or the code of the refusal, the cost that is written, and the money that is counted: as it is to be
    /// written, and as it was read.
    type Judged = (Result<i64, &'static str>, Option<i64>, Vec<(i64, String)>);

    fn judged(row: &Plantation) -> Judged {
        let mut draft = Draft::<Rows>::default();
        let result = planting(&lookups(), row, &mut draft).map_err(|refusal| match refusal {
            Refusal::Skipped(code) | Refusal::Quarantined { code, .. } => code.as_str(),
        });
        let counted = draft.counted().map(|(_, money, exact)| (money.minor, exact.normalize().to_string())).collect();
        (result, draft.rows().written().first().and_then(|planting| planting.cost_minor), counted)
    }

    #[test]
    fn the_cost_of_a_row_is_counted_whatever_becomes_of_it() {
        let counted = |minor: i64, exact: &str| vec![(minor, exact.to_owned())];
        let row = costing(0.125, "GBP");
        assert_eq!(judged(&row), (Ok(207), Some(12), counted(12, "12.5")));
        assert_eq!(judged(&Plantation { id: 8, ..row.clone() }), (Err("duplicate"), None, counted(12, "12.5")));
        let of_refused = Plantation { user_id: Cell::Good(2), ..row.clone() };
        assert_eq!(judged(&of_refused), (Err("parent_quarantined"), None, counted(12, "12.5")));
        let void = Plantation { status: Cell::Good("void".to_owned()), ..row };
        assert_eq!(judged(&void), (Err("cancelled"), None, counted(12, "12.5")));
        assert_eq!(judged(&costing(0.6, "BTC")), (Err("currency_unknown"), None, vec![]));
    }

    #[test]
    fn a_negative_cost_is_counted_and_all_of_it_repaired() {
        let counted = |exact: &str| vec![(0, exact.to_owned())];
        assert_eq!(judged(&costing(-0.6, "GBP")), (Ok(207), None, counted("-60")));
        assert_eq!(judged(&costing(-0.001, "")), (Ok(207), None, counted("-0.1")));
        assert_eq!(judged(&costing(-0.6, "BTC")), (Ok(207), None, vec![]));
    }

    #[test]
    fn a_cell_that_cannot_be_read_is_unforeseen() {
        let bad = || Cell::bad("\\xff", "not valid UTF-8");
        let no_key = || Cell::bad("n/a", "stored as Text, expected Integer");
        for row in [
            Plantation { gift_email: bad(), ..plain() },
            Plantation { gift_message: bad(), ..plain() },
            Plantation { user_id: no_key(), ..plain() },
            Plantation { brand_id: no_key(), ..plain() },
            Plantation { project_id: no_key(), ..plain() },
            Plantation { finance_transaction_id: no_key(), ..plain() },
        ] {
            assert_eq!(judged(&row).0, Err("unforeseen"), "{row:?}");
        }
    }

    #[test]
    fn an_id_beyond_every_key_names_nobody() {
        let beyond = || Cell::bad("18446744073709551615", "out of range");
        assert_eq!(judged(&Plantation { user_id: beyond(), ..plain() }).0, Err("account_missing"));
        assert_eq!(judged(&Plantation { project_id: beyond(), ..plain() }).0, Err("project_missing"));
        for (row, code) in [
            (Plantation { brand_id: beyond(), ..plain() }, "brand_link_broken"),
            (Plantation { finance_transaction_id: beyond(), ..plain() }, "payment_link_broken"),
        ] {
            let (lookups, mut draft) = (lookups(), Draft::<Rows>::default());
            assert!(planting(&lookups, &row, &mut draft).is_ok(), "{row:?}");
            let repairs: Vec<_> = draft.repairs().map(|r| (r.code.as_str(), r.before.as_deref())).collect();
            assert_eq!(repairs, [(code, Some("18446744073709551615"))]);
        }
    }
}
