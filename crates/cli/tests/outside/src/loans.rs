//! Loans: a legacy `loan` becomes a row of `loans`, with its fee.

use std::sync::Arc;

use diesel::prelude::*;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use crate::readers::Readers;

diesel::table! {
    loan (id) {
        id -> BigInt,
        card_id -> BigInt,
        title -> Text,
        fee -> Text,
    }
}

diesel::table! {
    loans (id) {
        id -> BigInt,
        reader_id -> BigInt,
        title -> Text,
        fee_cents -> BigInt,
    }
}

/// A legacy row, as it truly is. The fee is in euros.
#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = loan, check_for_backend(MultiBackend))]
pub(crate) struct Loan {
    id: Key,
    card_id: Cell<i64>,
    title: Cell<String>,
    fee: Cell<String>,
}

/// A row as the catalogue will have it.
#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = loans, treat_none_as_default_value = false)]
pub(crate) struct NewLoan {
    id: i64,
    reader_id: i64,
    title: String,
    fee_cents: i64,
}

replant_core::legacy!(Loan => loan, "loan", key = id);
replant_core::insert!(NewLoan => loans, money = |loan| euros(loan.fee_cents));

replant_core::rows! {
    /// What a chunk of loans writes.
    pub(crate) struct Rows { loans: NewLoan }
}

fn euros(minor: i64) -> Option<Money> {
    Some(Money { currency: Currency::new("EUR")?, minor })
}

/// The domain.
pub(crate) fn domain() -> Domain {
    Domain::new("loans").step::<Loans>()
}

/// Legacy `loan` to `loans`.
pub(crate) struct Loans;

/// What the step knows before its first chunk.
pub(crate) struct Lookups {
    readers: Arc<Standings>,
    plan: Arc<StepPlan>,
}

impl Step for Loans {
    const NAME: &'static str = "loans.loans";
    const ABOUT: &'static str = "what readers have borrowed";
    const AFTER: &'static [&'static str] = &[Readers::NAME];
    const TARGET: &'static str = "loans";
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("kept as the key in the lineage")),
        ("card_id", Fate::Moved("loans.reader_id")),
        ("title", Fate::Moved("loans.title")),
        ("fee", Fate::Moved("loans.fee_cents")),
    ];

    type Legacy = Loan;
    type Lookups = Lookups;
    type Rows = Rows;

    fn writes() -> Vec<TableShape> {
        vec![shape_of::<loans::table>("loans")]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Lookups, PrepareError> {
        Ok(Lookups { readers: cx.standings::<Readers>()?, plan: cx.plan() })
    }

    fn transform(lookups: &Lookups, unit: &Unit<'_, Loan>, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
        let loan = unit.leader();
        let unreadable = || Refusal::quarantine("fee_unreadable", "the fee is no amount");
        let fee: Decimal = loan.fee.text("fee")?.and_then(|fee| fee.parse().ok()).ok_or_else(unreadable)?;
        let exact_cents = fee * Decimal::ONE_HUNDRED;
        let money = exact_cents.round().to_i64().and_then(euros).ok_or_else(unreadable)?;
        // Counted before the row can be refused for another reason: no money is lost sight of.
        draft.money(loan.id, money, exact_cents);
        let reader = lookups.readers.of(loan.card_id.reference("card_id")?);
        Refusal::of_parents([&reader])?;
        let Standing::Live(reader_id) = reader else {
            return Err(Refusal::quarantine("card_missing", "there is no such card"));
        };
        let title = loan.title.text("title")?.unwrap_or_default().to_owned();
        let id = lookups.plan.id_of(loan.id).ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"))?;
        draft.write(NewLoan { id, reader_id, title, fee_cents: money.minor });
        Ok(id)
    }
}
