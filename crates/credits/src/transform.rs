//! The rules of credit entries.

use std::borrow::Cow;

use jiff::Timestamp;
use reference::{Amount, word};
use replant_clean::Snapshot;
use replant_core::prelude::*;

use crate::Lookups;
use crate::legacy::CreditEntry;
use crate::target::{NewCreditEntry, Reason, Rows};

/// The codes of credit entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Code {
    /// No user, or one that is not there.
    AccountMissing,
    /// Nothing given, nothing taken.
    ZeroDelta,
    /// It was written down twice.
    Duplicate,
    /// A reason that the rules do not know.
    ReasonDefaulted,
    /// When it was is not known.
    OccurredAtDerived,
    /// The credit of an account was below zero.
    NegativeBalanceAdjusted,
}

/// What an entry says, once every value is made right and before others are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    pub(crate) user: Option<Key>,
    pub(crate) amount: Amount,
    /// As a word.
    pub(crate) reason_word: Option<Cow<'a, str>>,
    pub(crate) ref_type: Option<Cow<'a, str>>,
    pub(crate) ref_id: Option<Key>,
    account_id: i64,
    reason: Option<Reason>,
    occurred_at: Option<Timestamp>,
}

impl<'a> Facts<'a> {
    /// Reads a row, or says the first code that applies: the parent, the value rules, the row's own. Notes nothing, so that
    /// the look ahead and the transform cannot disagree. `amount`: as it was read.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn read(
        row: &'a CreditEntry,
        users: &Standings,
        amount: Result<Amount, Refusal>,
        snapshot: Snapshot,
    ) -> Result<Self, Refusal> {
        let user = row.user_id.reference("user_id")?;
        let standing = users.of(user);
        Refusal::of_parents([&standing])?;
        let amount = amount?;
        let Standing::Live(account_id) = standing else {
            return Err(Refusal::quarantine(Code::AccountMissing, "the entry's user is not there"));
        };
        if amount.money.minor == 0 {
            return Err(Refusal::skip(Code::ZeroDelta));
        }
        let reason_word = word(&row.reason, "reason")?;
        Ok(Self {
            user,
            amount,
            reason: reason_word.as_deref().and_then(reason),
            reason_word,
            ref_type: word(&row.ref_type, "ref_type")?,
            ref_id: row.ref_id.reference("ref_id")?,
            account_id,
            occurred_at: row.created_when.good().and_then(|wall| reference::known_london(wall.0, snapshot)),
        })
    }
}

/// Judges an entry.
pub(crate) fn entry(lookups: &Lookups, row: &CreditEntry, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
    // The amount is counted whatever becomes of the row.
    let amount = row.price().take_amount(row.id, &lookups.currencies.0, draft);
    let facts = Facts::read(row, &lookups.users, amount, lookups.snapshot)?;
    if lookups.doubles.contains(row.id) {
        return Err(Refusal::skip(Code::Duplicate));
    }
    let id = lookups.plan.id_of(row.id).ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"))?;
    for (cell, column) in [(&row.reason, "reason"), (&row.ref_type, "ref_type")] {
        reference::text(cell, column, row.id, draft)?;
    }
    let reason = facts.reason.unwrap_or_else(|| {
        let adjustment: &str = Reason::Adjustment.into();
        draft.repair(row.id, Code::ReasonDefaulted, "reason", row.reason.good().cloned(), adjustment.to_owned());
        Reason::Adjustment
    });
    let occurred_at = facts.occurred_at.unwrap_or_else(|| {
        let at = lookups.first_written.of(row.id);
        draft.repair(row.id, Code::OccurredAtDerived, "created_when", stored(&row.created_when), at.to_string());
        at
    });
    draft.write(NewCreditEntry {
        id,
        account_id: facts.account_id,
        currency: facts.amount.money.currency.into(),
        delta_minor: facts.amount.money.minor,
        reason: reason.into(),
        occurred_at: occurred_at.into(),
    });
    Ok(id)
}

fn reason(word: &str) -> Option<Reason> {
    match word {
        "topup" | "top-up" | "deposit" => Some(Reason::Topup),
        "spend" | "purchase" | "planting" => Some(Reason::Spend),
        "refund" => Some(Reason::Refund),
        "promo" | "gift" | "bonus" => Some(Reason::Promo),
        "adjust" | "adjustment" | "manual" => Some(Reason::Adjustment),
        _ => None,
    }
}

/// A wall time as it is stored, also where it can be none.
fn stored(cell: &Cell<Wall>) -> Option<String> {
    match cell {
        Cell::Good(wall) => Some(wall.0.to_string()),
        Cell::Null => None,
        Cell::Bad(unfit) => Some(unfit.raw.clone()),
    }
}
