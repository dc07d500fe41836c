//! The rules of invoices.

use std::sync::Arc;

use jiff::civil::Date;
use reference::{Amount, Currencies, PriceCells};
use replant_clean::{self as clean, Snapshot};
use replant_core::Rows as AnyRows;
use replant_core::prelude::*;

use crate::Lookups;
use crate::doubles::{Billed, Double};
use crate::legacy::Invoice;
use crate::number::InvoiceNumber;
use crate::target::{NewInvoice, Rows, Status};

/// The codes of invoices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum InvoiceCode {
    /// No number, or one in no form that is known.
    InvoiceNumberInvalid,
    /// No user, or one that is not there.
    AccountMissing,
    /// A total of nothing, or less.
    AmountNotPositive,
    /// No day of issue, or one that cannot be true.
    IssuedOnUnknown,
    /// A due day that is none, or before the day of issue: NULL.
    DueOnDropped,
    /// The same invoice has a lower id.
    Duplicate,
    /// Another invoice has its number.
    InvoiceConflict,
    /// A customer's invoice has its number.
    AlreadyNative,
}

/// What an invoice is judged with on its own.
pub(crate) struct Known {
    pub(crate) users: Arc<Standings>,
    pub(crate) currencies: Arc<Currencies>,
    pub(crate) snapshot: Snapshot,
}

/// What an invoice says once every value is made right.
pub(crate) struct Fields {
    account_id: i64,
    pub(crate) number: InvoiceNumber,
    total: Amount,
    issued_on: Date,
    due_on: Option<Date>,
    status: Status,
}

impl Fields {
    /// What invoices with one number are compared by.
    pub(crate) fn billed(&self) -> Billed {
        Billed { account_id: self.account_id, total: self.total.money }
    }
}

/// Judges an invoice: it belongs to the account of its user.
pub(crate) fn invoice(lookups: &Lookups, row: &Invoice, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
    let fields = lookups.known.judge(row, draft)?;
    match lookups.doubles.get(&row.id) {
        None => {}
        Some(Double::Duplicate) => return Err(Refusal::skip(InvoiceCode::Duplicate)),
        Some(Double::Native) => return Err(Refusal::skip(InvoiceCode::AlreadyNative)),
        Some(Double::Conflict) => {
            let reason = "another invoice has its number, but not its account, total and currency";
            return Err(Refusal::quarantine(InvoiceCode::InvoiceConflict, reason));
        }
    }
    let id = lookups.plan.id_of(row.id).ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"))?;
    draft.write(NewInvoice {
        id,
        account_id: fields.account_id,
        number: fields.number.to_string(),
        total_minor: fields.total.money.minor,
        currency: fields.total.money.currency.into(),
        issued_on: fields.issued_on.into(),
        due_on: fields.due_on.map(Into::into),
        status: fields.status.into(),
    });
    Ok(id)
}

impl Known {
    /// Judges an invoice by itself: the parent, the value rules, then the rules of invoices but for those that compare it
    /// with others. The look ahead for those asks this too.
    ///
    /// # Errors
    /// The first code that applies.
    pub(crate) fn judge<R: AnyRows>(&self, row: &Invoice, draft: &mut Draft<R>) -> Result<Fields, Refusal> {
        // The total is counted whatever becomes of the invoice.
        let cells = PriceCells { amount: &row.total, amount_column: "total", currency: &row.currency };
        let total = cells.take_amount(row.id, &self.currencies.0, draft);
        let user = self.users.of(row.user_id.reference("user_id")?);
        Refusal::of_parents([&user])?;
        let total = total?;
        let number = reference::text(&row.invoice_no, "invoice_no", row.id, draft)?;
        let number = number.as_deref().and_then(InvoiceNumber::of).ok_or_else(|| {
            Refusal::quarantine(InvoiceCode::InvoiceNumberInvalid, "the number is not `MT` with digits")
        })?;
        let Standing::Live(account_id) = user else {
            return Err(Refusal::quarantine(InvoiceCode::AccountMissing, "the invoice's user is not there"));
        };
        if total.money.minor <= 0 {
            return Err(Refusal::quarantine(InvoiceCode::AmountNotPositive, "the total is nothing or less"));
        }
        let issued_on = reference::text(&row.issued, "issued", row.id, draft)?;
        let issued_on = issued_on.and_then(|text| reference::known_date(&text, self.snapshot)).ok_or_else(|| {
            Refusal::quarantine(InvoiceCode::IssuedOnUnknown, "the day of issue is absent or cannot be true")
        })?;
        let due_on = due_on(row, issued_on, draft)?;
        let paid = reference::text(&row.paid, "paid", row.id, draft)?.and_then(|text| clean::flag(&text));
        let status = if paid == Some(true) { Status::Paid } else { Status::Open };
        Ok(Fields { account_id, number, total, issued_on, due_on, status })
    }
}

/// The day by which it is to be paid. An absent one stays absent, without a code.
fn due_on<R: AnyRows>(row: &Invoice, issued_on: Date, draft: &mut Draft<R>) -> Result<Option<Date>, Refusal> {
    let Some(text) = reference::text(&row.due, "due", row.id, draft)? else { return Ok(None) };
    let due_on = reference::due_date(&text).filter(|due_on| *due_on >= issued_on);
    if due_on.is_none() {
        draft.repair(row.id, InvoiceCode::DueOnDropped, "due", row.due.good().cloned(), None);
    }
    Ok(due_on)
}
