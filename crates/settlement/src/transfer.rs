//! What a bank transfer says by itself: the rules that need no other transfer.

use std::sync::Arc;

use invoices::{MigratedInvoice, Numbers};
use jiff::Timestamp;
use jiff::civil::Date;
use reference::{Currencies, PriceCells};
use replant_clean::{self as clean, Snapshot};
use replant_core::prelude::*;
use users::Emails;

use crate::codes::TransferCode;
use crate::legacy::Transfer;
use crate::words::Clearing;

/// A bank transfer that its own row lets in.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The platform's account.
    pub account_id: i64,
    /// Whether the money was sent back.
    pub reversed: bool,
    /// How much; positive.
    pub money: Money,
    /// The day.
    pub day: Date,
    /// The migrated invoices that it names, in the order named.
    pub(crate) invoices: Vec<MigratedInvoice>,
}

impl Received {
    /// The time that the day counts for.
    pub fn at(&self) -> Timestamp {
        clean::noon_utc(self.day)
    }
}

impl Transfer {
    /// The cells of the amount.
    pub fn price(&self) -> PriceCells<'_> {
        PriceCells { amount: &self.amount, amount_column: "amount", currency: &self.currency }
    }

    /// The text columns that the rules name, but for those of the amount.
    pub fn texts(&self) -> [(&'static str, &Cell<String>); 4] {
        [
            ("payer_email", &self.payer_email),
            ("reference", &self.reference),
            ("received", &self.received),
            ("status", &self.status),
        ]
    }

    fn readable(&self) -> Result<(), Refusal> {
        for (column, cell) in [("user_id", &self.user_id), ("finance_transaction_id", &self.finance_transaction_id)] {
            cell.reference(column)?;
        }
        for (column, cell) in self.texts() {
            cell.text(column)?;
        }
        Ok(())
    }
}

/// What the rules of a single transfer ask.
pub struct TransferRules {
    pub(crate) users: Arc<Standings>,
    pub(crate) emails: Arc<Emails>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) currencies: Arc<Currencies>,
    pub(crate) snapshot: Snapshot,
}

impl Lookup for TransferRules {
    fn build(cx: &Prepare<'_>) -> Result<Self, PrepareError> {
        Ok(Self {
            users: cx.standings::<users::Accounts>()?,
            emails: cx.lookup::<Emails>()?,
            numbers: cx.lookup::<Numbers>()?,
            currencies: cx.lookup::<Currencies>()?,
            snapshot: Snapshot(cx.snapshot()),
        })
    }
}

impl TransferRules {
    /// The currencies that the platform has.
    pub fn currencies(&self) -> &clean::Currencies {
        &self.currencies.0
    }

    /// Reads a transfer.
    ///
    /// # Errors
    /// The first code that applies: its parent's, those of its values, its own. What other rows show comes after these.
    pub fn transfer(&self, row: &Transfer) -> Result<Received, Refusal> {
        row.readable()?;
        let user = self.users.of(row.user_id.reference("user_id")?);
        Refusal::of_parents([&user])?;
        let (_, amount) = row.price().read_amount(self.currencies())?;
        let clearing = row.status.good().and_then(|status| Clearing::of(&clean::word(status)?));
        let reversed = match clearing {
            Some(Clearing::Cleared) => false,
            Some(Clearing::Reversed) => true,
            Some(Clearing::Pending) => return Err(Refusal::skip(TransferCode::NotCleared)),
            None => return Err(Refusal::quarantine(TransferCode::StatusUnknown, "the status says nothing")),
        };
        let reference = row.reference.good().and_then(|reference| clean::text(reference).value);
        let invoices = reference.map(|reference| self.numbers.named_in(&reference)).unwrap_or_default();
        let account_id = match user {
            Standing::Live(account_id) => Some(account_id),
            Standing::Skipped | Standing::Quarantined(_) | Standing::Missing => {
                invoices.first().map(|invoice| invoice.account_id).or_else(|| self.by_email(row))
            }
        };
        let nobody = || Refusal::quarantine(TransferCode::PayerUnknown, "nobody who could have paid");
        let account_id = account_id.ok_or_else(nobody)?;
        if amount.money.minor <= 0 {
            return Err(Refusal::quarantine(TransferCode::AmountNotPositive, "the amount is not positive"));
        }
        let day = row.received.good().and_then(|day| reference::known_date(&clean::text(day).value?, self.snapshot));
        let day = day.ok_or_else(|| Refusal::quarantine(TransferCode::ReceivedUnknown, "no known day"))?;
        Ok(Received { account_id, reversed, money: amount.money, day, invoices })
    }

    fn by_email(&self, row: &Transfer) -> Option<i64> {
        self.emails.account(&self.users, &clean::email(row.payer_email.good()?)?)
    }
}
