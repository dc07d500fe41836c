//! The other tables.

use replant_clean as clean;
use roaring::RoaringTreemap;
use rustc_hash::FxHashSet;
use xxhash_rust::xxh3::xxh3_64;

use super::cells::{id, text, word};
use super::people::People;
use super::{Cells, Pages, tallies};
use crate::SimulateError;
use crate::rates::Rates;

tallies!(Plantations for PlantationRates {
    paid, of_brand, duplicate, payment_missing, brand_missing, account_missing, project_missing, trees_not_positive,
    cancelled, status_unknown, source_unknown, cost_absent, cost_negative, recipient_invalid, recipient_known,
});
tallies!(Subscriptions for SubscriptionRates {
    of_same_user, duplicate, plan_absent, trees_not_positive, interval_unknown, status_unknown, contradiction,
    start_unknown,
});
tallies!(Invoices for InvoiceRates { duplicate, number_invalid, issued_unknown, due_before, due_absent });
tallies!(Transfers for TransferRates { of_invoice, user_missing, email_absent, pending, reversed, status_unknown, received_unknown });
tallies!(Charges for ChargeRates { revised, brand_by_name, period_invalid, trees_not_positive, price_invalid, void });
tallies!(Credits for CreditRates { duplicate, zero, reason_unknown });

fn among(cell: &Option<String>, words: &[&str]) -> bool {
    word(cell).is_some_and(|word| words.contains(&word.as_str()))
}

fn not_positive(cell: &Option<String>) -> bool {
    cell.as_deref().and_then(|trees| trees.parse::<i64>().ok()).is_none_or(|trees| trees <= 0)
}

/// Whether a row is that of its predecessor once more.
#[derive(Default)]
struct Doubles(u64);

impl Doubles {
    fn see(&mut self, cells: &[&Option<String>]) -> bool {
        let row: Vec<&str> = cells.iter().map(|cell| cell.as_deref().unwrap_or("\0")).collect();
        let hash = xxh3_64(row.join("\n").as_bytes());
        std::mem::replace(&mut self.0, hash) == hash
    }
}

pub(super) fn plantations(
    pages: &mut Pages<'_>,
    rates: &mut Rates,
    people: &People,
    transactions: &RoaringTreemap,
) -> Result<(), SimulateError> {
    const COLUMNS: &[&str] = &[
        "user_id",
        "brand_id",
        "project_id",
        "trees",
        "source",
        "gift_email",
        "cost",
        "finance_transaction_id",
        "status",
        "planted_when",
    ];
    let (mut rows, mut doubles) = (Plantations::default(), Doubles::default());
    pages.each("plantation", COLUMNS, |_, cells: &Cells| {
        let [user, brand, project, trees, source, gift, cost, payment, status, planted] = cells.as_slice() else {
            return;
        };
        let paid = id(payment);
        rows.paid.see(paid.is_some());
        rows.of_brand.see(id(brand).is_some() && paid.is_none());
        rows.payment_missing.see(payment.is_some() && paid.is_none_or(|payment| !transactions.contains(payment)));
        rows.brand_missing.see(id(brand).is_some_and(|brand| !people.brands.contains(brand)));
        rows.account_missing.see(id(user).is_none() && id(brand).is_none());
        rows.project_missing.see(id(project).is_none_or(|project| !people.projects.contains(project)));
        rows.trees_not_positive.see(not_positive(trees));
        rows.duplicate.see(doubles.see(&[user, brand, project, trees, source, payment, planted]));
        rows.cancelled.see(among(status, &["cancelled", "void"]));
        rows.status_unknown.see(!among(status, &["cancelled", "void", "done", "planted", "pending"]));
        const SOURCES: &[&str] =
            &["order", "purchase", "gift", "subscription", "sub", "api", "cross charge", "cross_charge", "xc"];
        rows.source_unknown.see(text(source).is_some() && !among(source, SOURCES));
        rows.cost_absent.see(cost.is_none());
        rows.cost_negative.see(cost.as_deref().is_some_and(|cost| cost.starts_with('-')));
        let address = gift.as_deref().and_then(clean::email);
        rows.recipient_invalid.see(gift.is_some() && address.is_none());
        if let Some(address) = address {
            rows.recipient_known.see(people.knows(&address));
        }
    })?;
    rows.set(&mut rates.plantation);
    Ok(())
}

pub(super) fn learn(pages: &mut Pages<'_>, rates: &mut Rates, people: &People) -> Result<(), SimulateError> {
    subscriptions(pages, rates)?;
    invoices(pages, rates)?;
    transfers(pages, rates, people)?;
    charges(pages, rates, people)?;
    credits(pages, rates)
}

fn subscriptions(pages: &mut Pages<'_>, rates: &mut Rates) -> Result<(), SimulateError> {
    const COLUMNS: &[&str] =
        &["user_id", "plan", "trees_per_month", "interval", "status", "started_when", "cancelled_when", "gateway_ref"];
    const INTERVALS: &[&str] = &["monthly", "month", "1m", "m", "yearly", "year", "annual", "12m", "y"];
    const RUNNING: &[&str] = &["active", "live", "paused", "hold", "past_due", "unpaid"];
    const ENDED: &[&str] = &["cancelled", "canceled", "ended", "expired"];
    let (mut rows, mut references, mut users) = (Subscriptions::default(), FxHashSet::default(), FxHashSet::default());
    pages.each("subscription", COLUMNS, |_, cells| {
        let [user, plan, trees, interval, status, started, cancelled, reference] = cells.as_slice() else { return };
        if let Some(user) = id(user) {
            rows.of_same_user.see(!users.insert(user));
        }
        rows.plan_absent.see(text(plan).is_none());
        rows.trees_not_positive.see(not_positive(trees));
        rows.interval_unknown.see(!among(interval, INTERVALS));
        rows.status_unknown.see(!among(status, RUNNING) && !among(status, ENDED));
        let unknown = |time: &Option<String>| time.as_deref().is_none_or(|time| time.starts_with("0000"));
        rows.contradiction.see(among(status, RUNNING) && !unknown(cancelled));
        rows.start_unknown.see(unknown(started));
        if let Some(reference) = text(reference) {
            rows.duplicate.see(!references.insert(xxh3_64(reference.as_bytes())));
        }
    })?;
    rows.set(&mut rates.subscription);
    Ok(())
}

fn invoices(pages: &mut Pages<'_>, rates: &mut Rates) -> Result<(), SimulateError> {
    let (mut rows, mut numbers) = (Invoices::default(), FxHashSet::default());
    pages.each("invoice", &["invoice_no", "issued", "due"], |_, cells| {
        let [number, issued, due] = cells.as_slice() else { return };
        let digits = word(number).and_then(|word| {
            let digits = word.strip_prefix("mt")?.trim_start_matches([' ', '-']).trim_start_matches('0').to_owned();
            (!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(digits)
        });
        rows.number_invalid.see(digits.is_none());
        if let Some(digits) = digits {
            rows.duplicate.see(!numbers.insert(xxh3_64(digits.as_bytes())));
        }
        let date = |cell| text(cell).and_then(|text| clean::date(&text));
        let (issued, due_date) = (date(issued), date(due));
        rows.issued_unknown.see(issued.is_none());
        rows.due_absent.see(text(due).is_none());
        rows.due_before.see(issued.zip(due_date).is_some_and(|(issued, due)| due < issued));
    })?;
    rows.set(&mut rates.invoice);
    // A number that comes again is that of a conflict about once in three times.
    rates.invoice.conflict = rates.invoice.duplicate / 3.0;
    rates.invoice.duplicate -= rates.invoice.conflict;
    Ok(())
}

fn transfers(pages: &mut Pages<'_>, rates: &mut Rates, people: &People) -> Result<(), SimulateError> {
    const COLUMNS: &[&str] = &["user_id", "payer_email", "reference", "received", "status"];
    let mut rows = Transfers::default();
    pages.each("bank_transfer", COLUMNS, |_, cells| {
        let [user, email, reference, received, status] = cells.as_slice() else { return };
        rows.user_missing.see(id(user).is_none_or(|user| !people.users.contains(user)));
        rows.email_absent.see(text(email).is_none());
        let names_one = |text: String| text.bytes().any(|byte| byte.is_ascii_digit()) && text.contains("mt");
        rows.of_invoice.see(word(reference).is_some_and(names_one));
        rows.received_unknown.see(text(received).and_then(|text| clean::date(&text)).is_none());
        rows.pending.see(among(status, &["pending"]));
        rows.reversed.see(among(status, &["reversed", "returned"]));
        rows.status_unknown.see(!among(status, &["pending", "reversed", "returned", "cleared", "ok", "received"]));
    })?;
    rows.set(&mut rates.transfer);
    Ok(())
}

fn charges(pages: &mut Pages<'_>, rates: &mut Rates, people: &People) -> Result<(), SimulateError> {
    let mut rows = Charges::default();
    pages.each("cross_charge", &["brand_id", "period", "trees", "unit_price", "revision", "status"], |_, cells| {
        let [brand, period, trees, price, revision, status] = cells.as_slice() else { return };
        rows.brand_by_name.see(id(brand).is_none_or(|brand| !people.brands.contains(brand)));
        rows.period_invalid
            .see(text(period).is_none_or(|text| !text.bytes().any(|b| b.is_ascii_digit()) || text.starts_with('Q')));
        rows.trees_not_positive.see(not_positive(trees));
        rows.price_invalid.see(!matches!(clean::amount(price.as_deref().unwrap_or_default()), Ok(Some(_))));
        rows.revised.see(id(revision).is_some_and(|revision| revision > 1));
        rows.void.see(among(status, &["void"]));
    })?;
    rows.set(&mut rates.charge);
    Ok(())
}

fn credits(pages: &mut Pages<'_>, rates: &mut Rates) -> Result<(), SimulateError> {
    const COLUMNS: &[&str] = &["user_id", "delta", "currency", "reason", "ref_type", "ref_id", "created_when"];
    const REASONS: &[&str] = &[
        "topup",
        "top-up",
        "deposit",
        "spend",
        "purchase",
        "planting",
        "refund",
        "promo",
        "gift",
        "bonus",
        "adjust",
        "adjustment",
        "manual",
    ];
    let (mut rows, mut doubles) = (Credits::default(), Doubles::default());
    pages.each("credit_entry", COLUMNS, |_, cells| {
        let [user, delta, currency, reason, kind, of, created] = cells.as_slice() else { return };
        rows.duplicate.see(doubles.see(&[user, delta, currency, reason, kind, of, created]));
        let amount = clean::amount(delta.as_deref().unwrap_or_default()).ok().flatten();
        rows.zero.see(amount.is_some_and(|amount| amount.value.is_zero()));
        rows.reason_unknown.see(!among(reason, REASONS));
    })?;
    rows.set(&mut rates.credit);
    Ok(())
}
