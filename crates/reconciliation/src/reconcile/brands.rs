//! What brands paid against what they were charged and invoiced, by currency.

use std::collections::BTreeMap;

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use replant_core::db::Db;
use serde::Serialize;

use super::scope::Scope;
use crate::error::{Reading, ReportError};
use crate::money::Decimals;
use crate::schema::target::{
    brands as b, cross_charges as c, invoices as i, payment_allocations as a, payments as p, refunds as r,
};

/// The money of a brand's account in one currency, native rows included. Minor units where a name says so, else major
/// ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BrandMoney {
    /// The legacy brands of the account that are spoken of, joined by `;`: payments and invoices belong to the account,
    /// and cannot be told apart by brand.
    pub legacy_brand_ids: String,
    /// Their names, joined by `; `.
    pub brands: String,
    /// The account.
    pub account_id: i64,
    /// ISO 4217.
    pub currency: String,
    /// Payments that brought money: succeeded, or refunded later in whole or in part.
    pub payments: i64,
    /// Their sum.
    pub paid_minor: i64,
    /// What of them was refunded.
    pub refunded_minor: i64,
    /// Paid less refunded.
    pub net_paid_minor: i64,
    /// The same, for people.
    pub net_paid: String,
    /// What of it was paid by method `cross_charge`.
    pub net_paid_by_cross_charge_minor: i64,
    /// Cross-charges of the brands.
    pub cross_charged_minor: i64,
    /// The same, for people.
    pub cross_charged: String,
    /// Cross-charged less paid by that method: below zero, more was paid than charged.
    pub cross_charge_open_minor: i64,
    /// The same, for people.
    pub cross_charge_open: String,
    /// Invoices of the account.
    pub invoices: i64,
    /// Their totals.
    pub invoiced_minor: i64,
    /// The same, for people.
    pub invoiced: String,
    /// What payments settle of them.
    pub allocated_minor: i64,
    /// The same, for people.
    pub allocated: String,
    /// Invoiced less allocated.
    pub open_minor: i64,
    /// The same, for people.
    pub open: String,
    /// What of it is on invoices that are marked as paid: they say so, and no payment settles them.
    pub open_marked_paid_minor: i64,
}

/// The money of all lines in one currency. The fields are those of [`BrandMoney`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "BrandMoney tells what they are")]
pub struct BrandTotal {
    pub currency: String,
    pub net_paid_minor: i64,
    pub net_paid: String,
    pub net_paid_by_cross_charge_minor: i64,
    pub cross_charged_minor: i64,
    pub cross_charged: String,
    pub cross_charge_open_minor: i64,
    pub cross_charge_open: String,
    pub invoiced_minor: i64,
    pub invoiced: String,
    pub allocated_minor: i64,
    pub allocated: String,
    pub open_minor: i64,
    pub open: String,
    pub open_marked_paid_minor: i64,
}

impl BrandTotal {
    fn of(lines: &[BrandMoney], decimals: &Decimals) -> Vec<Self> {
        let mut totals: BTreeMap<&str, Self> = BTreeMap::new();
        for line in lines {
            let total = totals.entry(&line.currency).or_default();
            total.net_paid_minor += line.net_paid_minor;
            total.net_paid_by_cross_charge_minor += line.net_paid_by_cross_charge_minor;
            total.cross_charged_minor += line.cross_charged_minor;
            total.cross_charge_open_minor += line.cross_charge_open_minor;
            total.invoiced_minor += line.invoiced_minor;
            total.allocated_minor += line.allocated_minor;
            total.open_minor += line.open_minor;
            total.open_marked_paid_minor += line.open_marked_paid_minor;
        }
        let shown = |(currency, total): (&str, Self)| {
            let shown = |minor| decimals.shown(minor, currency);
            Self {
                currency: currency.to_owned(),
                net_paid: shown(total.net_paid_minor),
                cross_charged: shown(total.cross_charged_minor),
                cross_charge_open: shown(total.cross_charge_open_minor),
                invoiced: shown(total.invoiced_minor),
                allocated: shown(total.allocated_minor),
                open: shown(total.open_minor),
                ..total
            }
        };
        totals.into_iter().map(shown).collect()
    }
}

#[derive(Default)]
struct Sums {
    payments: i64,
    paid: i64,
    refunded: i64,
    paid_by_cross_charge: i64,
    cross_charged: i64,
    invoices: i64,
    invoiced: i64,
    allocated: i64,
    open_marked_paid: i64,
}

/// By account, then currency.
type Accounts = BTreeMap<(i64, String), Sums>;

/// What a payment is when its money came, whatever was refunded afterwards.
const PAID: [&str; 3] = ["succeeded", "refunded", "partially_refunded"];

/// A sum of a BIGINT column as a BIGINT: PostgreSQL makes a NUMERIC of it, which diesel has no portable form for.
fn sum(column: &str) -> diesel::expression::SqlLiteral<BigInt> {
    sql(&format!("CAST(coalesce(sum({column}), 0) AS bigint)"))
}

/// In the order of the scope, then by currency; and the sums by currency.
pub(super) fn brands(
    target: &mut Db,
    scope: &Scope,
    decimals: &Decimals,
) -> Result<(Vec<BrandMoney>, Vec<BrandTotal>), ReportError> {
    let mut accounts = Accounts::new();
    paid(target, &mut accounts)?;
    refunded(target, &mut accounts)?;
    invoiced(target, &mut accounts)?;
    cross_charged(target, scope, &mut accounts)?;
    accounts.retain(|(account, _), _| scope.is_of_brand(*account));

    let mut lines = Vec::new();
    for ((account, currency), sums) in accounts {
        let of_account = || scope.brands.iter().filter(|brand| brand.account_id == account);
        let first = scope.brands.iter().position(|brand| brand.account_id == account);
        let ids: Vec<String> = of_account().filter_map(|brand| Some(brand.legacy_brand_id?.to_string())).collect();
        let names: Vec<&str> = of_account().map(|brand| brand.brand.as_str()).collect();
        lines.push((first, sums.line(account, currency, (ids.join(";"), names.join("; ")), decimals)));
    }
    lines.sort_by(|(a, x), (b, y)| (a, &x.currency).cmp(&(b, &y.currency)));
    let lines: Vec<BrandMoney> = lines.into_iter().map(|(_, line)| line).collect();
    let totals = BrandTotal::of(&lines, decimals);
    Ok((lines, totals))
}

type Paid = (i64, String, String, i64, i64);

fn paid(target: &mut Db, accounts: &mut Accounts) -> Result<(), ReportError> {
    let rows: Vec<Paid> = p::table
        .filter(p::account_id.eq_any(b::table.select(b::account_id)))
        .filter(p::status.eq_any(PAID))
        .group_by((p::account_id, p::currency, p::method))
        .select((p::account_id, p::currency, p::method, count_star(), sum("payments.amount_minor")))
        .load(target)
        .reading("the payments of brands")?;
    for (account, currency, method, count, minor) in rows {
        let sums = accounts.entry((account, currency)).or_default();
        sums.payments += count;
        sums.paid += minor;
        if method == "cross_charge" {
            sums.paid_by_cross_charge += minor;
        }
    }
    Ok(())
}

fn refunded(target: &mut Db, accounts: &mut Accounts) -> Result<(), ReportError> {
    let rows: Vec<(i64, String, String, i64)> = r::table
        .inner_join(p::table.on(p::id.eq(r::payment_id)))
        .filter(p::account_id.eq_any(b::table.select(b::account_id)))
        .filter(p::status.eq_any(PAID))
        .group_by((p::account_id, p::currency, p::method))
        .select((p::account_id, p::currency, p::method, sum("refunds.amount_minor")))
        .load(target)
        .reading("the refunds of brands")?;
    for (account, currency, method, minor) in rows {
        let sums = accounts.entry((account, currency)).or_default();
        sums.refunded += minor;
        if method == "cross_charge" {
            sums.paid_by_cross_charge -= minor;
        }
    }
    Ok(())
}

fn invoiced(target: &mut Db, accounts: &mut Accounts) -> Result<(), ReportError> {
    let settled: Vec<(i64, i64)> = a::table
        .inner_join(i::table.on(i::id.eq(a::invoice_id)))
        .filter(i::account_id.eq_any(b::table.select(b::account_id)))
        .group_by(i::id)
        .select((i::id, sum("payment_allocations.amount_minor")))
        .load(target)
        .reading("what payments settle")?;
    let settled: rustc_hash::FxHashMap<i64, i64> = settled.into_iter().collect();
    let rows: Vec<(i64, i64, String, i64, String)> = i::table
        .filter(i::account_id.eq_any(b::table.select(b::account_id)))
        .select((i::id, i::account_id, i::currency, i::total_minor, i::status))
        .load(target)
        .reading("the invoices of brands")?;
    for (invoice, account, currency, total, status) in rows {
        let allocated = settled.get(&invoice).copied().unwrap_or(0);
        let sums = accounts.entry((account, currency)).or_default();
        sums.invoices += 1;
        sums.invoiced += total;
        sums.allocated += allocated;
        if status == "paid" {
            sums.open_marked_paid += total - allocated;
        }
    }
    Ok(())
}

fn cross_charged(target: &mut Db, scope: &Scope, accounts: &mut Accounts) -> Result<(), ReportError> {
    let rows: Vec<(i64, String, i64)> = c::table
        .group_by((c::brand_id, c::currency))
        .select((c::brand_id, c::currency, sum("cross_charges.total_minor")))
        .load(target)
        .reading("the cross-charges of brands")?;
    for (brand, currency, minor) in rows {
        if let Some(place) = scope.place(brand) {
            accounts.entry((scope.brands[place].account_id, currency)).or_default().cross_charged += minor;
        }
    }
    Ok(())
}

impl Sums {
    fn line(&self, account_id: i64, currency: String, names: (String, String), decimals: &Decimals) -> BrandMoney {
        let shown = |minor| decimals.shown(minor, &currency);
        let net_paid = self.paid - self.refunded;
        let cross_charge_open = self.cross_charged - self.paid_by_cross_charge;
        let open = self.invoiced - self.allocated;
        BrandMoney {
            legacy_brand_ids: names.0,
            brands: names.1,
            account_id,
            payments: self.payments,
            paid_minor: self.paid,
            refunded_minor: self.refunded,
            net_paid_minor: net_paid,
            net_paid: shown(net_paid),
            net_paid_by_cross_charge_minor: self.paid_by_cross_charge,
            cross_charged_minor: self.cross_charged,
            cross_charged: shown(self.cross_charged),
            cross_charge_open_minor: cross_charge_open,
            cross_charge_open: shown(cross_charge_open),
            invoices: self.invoices,
            invoiced_minor: self.invoiced,
            invoiced: shown(self.invoiced),
            allocated_minor: self.allocated,
            allocated: shown(self.allocated),
            open_minor: open,
            open: shown(open),
            open_marked_paid_minor: self.open_marked_paid,
            currency,
        }
    }
}
