//! Transfers that no list showed: bank transfers that became payments of their own (rules: Bank transfers).

use std::collections::BTreeMap;

use diesel::prelude::*;
use replant_core::db::Db;
use replant_core::{Instant, Key};
use serde::Serialize;

use super::scope::Scope;
use crate::error::{Reading, ReportError};
use crate::known::Known;
use crate::money::Decimals;
use crate::schema::target::{invoices as i, payment_allocations as a, payments as p};

/// A transfer that became a payment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Transfer {
    /// The account that it was paid for.
    pub account_id: i64,
    /// The legacy `bank_transfer`.
    pub transfer_id: Key,
    /// The payment.
    pub payment_id: i64,
    /// The day that it was received, in UTC.
    pub received: String,
    /// `succeeded`, or `refunded` where it was reversed.
    pub status: String,
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// In major units.
    pub amount: String,
    /// What of it settles invoices, in minor units.
    pub settled_minor: i64,
    /// The same in major units.
    pub settled: String,
    /// The invoices that it settles, with the amount of each: `MT-10123 (36.20)`.
    pub invoices: String,
}

/// Transfers in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TransferTotal {
    /// How many.
    pub transfers: usize,
    /// Their sum in minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// In major units.
    pub amount: String,
    /// What of it settles invoices, in minor units.
    pub settled_minor: i64,
    /// The same in major units.
    pub settled: String,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = p, check_for_backend(replant_core::db::MultiBackend))]
struct Payment {
    id: i64,
    account_id: i64,
    status: String,
    amount_minor: i64,
    currency: String,
    paid_at: Instant,
}

/// By account, then time, then transfer.
pub(super) fn transfers(
    target: &mut Db,
    known: &Known,
    scope: &Scope,
    decimals: &Decimals,
) -> Result<(Vec<Transfer>, Vec<TransferTotal>), ReportError> {
    let migrated = known.migrated(target, "bank_transfer", "payments")?;
    let mut lines = Vec::new();
    for some in migrated.chunks(1_000) {
        let ids: Vec<i64> = some.iter().map(|(_, payment)| *payment).collect();
        let payments: Vec<Payment> = p::table
            .filter(p::id.eq_any(ids.clone()))
            .select(Payment::as_select())
            .load(target)
            .reading("the payments of transfers")?;
        let payments: BTreeMap<i64, Payment> = payments.into_iter().map(|payment| (payment.id, payment)).collect();
        let mut settled = settled(target, ids)?;
        for (transfer_id, payment_id) in some {
            // A payment that is gone was taken away by the platform: there is nothing to show.
            let Some(payment) = payments.get(payment_id) else { continue };
            if scope.has_account(payment.account_id) {
                let settled = settled.remove(payment_id).unwrap_or_default();
                lines.push((payment.paid_at, line(*transfer_id, payment, &settled, decimals)));
            }
        }
    }
    lines.sort_by_key(|(at, line)| (line.account_id, *at, line.transfer_id));
    let lines: Vec<Transfer> = lines.into_iter().map(|(_, line)| line).collect();
    let totals = totals(&lines, decimals);
    Ok((lines, totals))
}

/// The invoices that payments settle, by payment, in the order of their ids.
type Settled = BTreeMap<i64, Vec<(String, i64)>>;

fn settled(target: &mut Db, payments: Vec<i64>) -> Result<Settled, ReportError> {
    let rows: Vec<(i64, String, i64)> = a::table
        .inner_join(i::table.on(i::id.eq(a::invoice_id)))
        .filter(a::payment_id.eq_any(payments))
        .order((a::payment_id, i::id))
        .select((a::payment_id, i::number, a::amount_minor))
        .load(target)
        .reading("the invoices that transfers settle")?;
    let mut settled = Settled::new();
    for (payment, number, minor) in rows {
        settled.entry(payment).or_default().push((number, minor));
    }
    Ok(settled)
}

fn line(transfer_id: Key, payment: &Payment, settled: &[(String, i64)], decimals: &Decimals) -> Transfer {
    let invoices: Vec<String> = settled
        .iter()
        .map(|(number, minor)| format!("{number} ({})", decimals.shown(*minor, &payment.currency)))
        .collect();
    let settled_minor = settled.iter().map(|(_, minor)| minor).sum();
    Transfer {
        account_id: payment.account_id,
        transfer_id,
        payment_id: payment.id,
        received: payment.paid_at.0.strftime("%Y-%m-%d").to_string(),
        status: payment.status.clone(),
        amount_minor: payment.amount_minor,
        amount: decimals.shown(payment.amount_minor, &payment.currency),
        currency: payment.currency.clone(),
        settled: decimals.shown(settled_minor, &payment.currency),
        settled_minor,
        invoices: invoices.join("; "),
    }
}

fn totals(lines: &[Transfer], decimals: &Decimals) -> Vec<TransferTotal> {
    let mut by_currency: BTreeMap<&str, (usize, i64, i64)> = BTreeMap::new();
    for line in lines {
        let sums = by_currency.entry(&line.currency).or_default();
        *sums = (sums.0 + 1, sums.1 + line.amount_minor, sums.2 + line.settled_minor);
    }
    by_currency
        .into_iter()
        .map(|(currency, (transfers, minor, settled_minor))| TransferTotal {
            transfers,
            amount_minor: minor,
            amount: decimals.shown(minor, currency),
            currency: currency.to_owned(),
            settled: decimals.shown(settled_minor, currency),
            settled_minor,
        })
        .collect()
}
