//! `finance_transaction`, and how amounts and currencies are typed everywhere.

use replant_clean as clean;
use roaring::RoaringTreemap;
use rustc_hash::FxHashSet;
use xxhash_rust::xxh3::xxh3_64;

use super::cells::{id, text, word};
use super::people::{People, Spread};
use super::{Pages, tallies};
use crate::SimulateError;
use crate::rates::Rates;

tallies!(Moneys for MoneyRates {
    styled, invalid, fraction, not_positive, conflict, currency_unknown, currency_absent, currency_spelled,
});
tallies!(Transactions for TransactionRates {
    refund, of_subscription, of_invoice, of_brand, posted_again, user_in_meta, account_missing, method_unknown,
    status_unknown, failed, pending, refunded, time_absent, meta_absent, meta_broken,
});

const COLUMNS: &[&str] = &[
    "user_id",
    "brand_id",
    "type",
    "amount",
    "currency",
    "status",
    "gateway",
    "gateway_ref",
    "parent_id",
    "subscription_id",
    "invoice_no",
    "tx_when",
    "created_when",
    "meta",
];
const METHODS: &[&str] = &[
    "card",
    "cc",
    "stripe",
    "paypal",
    "pp",
    "bt",
    "bank",
    "bacs",
    "bank transfer",
    "credit",
    "credits",
    "xc",
    "cross charge",
    "refund",
    "rf",
];
const PAID: &[&str] = &["paid", "complete", "completed", "success", "succeeded"];

/// The platform's currencies.
pub(super) fn currencies() -> clean::Currencies {
    let rows = crate::platform::all_currencies().iter();
    clean::Currencies::new(rows.filter_map(|(code, digits)| Some((code.clone(), digits.parse().ok()?))))
}

impl Moneys {
    fn see(&mut self, amount: &Option<String>, currency: &Option<String>, refund: bool, known: &clean::Currencies) {
        let raw = amount.as_deref().unwrap_or_default();
        let read = clean::amount(raw).ok().flatten();
        self.invalid.see(read.is_none());
        let plain = raw.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        self.styled.see(read.is_some() && !plain && !raw.starts_with('-'));
        let column = text(currency);
        self.currency_absent.see(column.is_none());
        let code = reference::currency(currency.as_deref(), None, known);
        self.currency_unknown.see(column.is_some() && code.is_err());
        let usual = currency.as_deref().is_some_and(|c| c.len() == 3 && c.bytes().all(|b| b.is_ascii_uppercase()));
        self.currency_spelled.see(
            code.is_ok()
                && column.is_some()
                && (!usual || currency.as_deref() == Some("STG") || currency.as_deref() == Some("UKP")),
        );
        let Some(read) = read else { return };
        let both = reference::currency(currency.as_deref(), read.currency, known);
        self.conflict.see(code.is_ok() && both.is_err());
        if let Ok(both) = both {
            self.fraction.see(clean::to_minor(read.value, both.exponent).is_ok_and(|minor| minor.rounded));
        }
        self.not_positive.see(!refund && read.value <= rust_decimal::Decimal::ZERO);
    }
}

pub(super) fn learn(pages: &mut Pages<'_>, rates: &mut Rates, people: &People) -> Result<(), SimulateError> {
    let (known, mut moneys, mut rows) = (currencies(), Moneys::default(), Transactions::default());
    let (mut references, mut spread) = (FxHashSet::default(), Spread::default());
    let (mut user_missing, mut ids) = (super::Tally::default(), RoaringTreemap::new());
    pages.each("finance_transaction", COLUMNS, |row, cells| {
        let [
            user,
            brand,
            kind,
            amount,
            currency,
            status,
            gateway,
            reference,
            _,
            subscription,
            invoice,
            paid,
            noted,
            meta,
        ] = cells.as_slice()
        else {
            return;
        };
        ids.insert(row);
        let (user, brand) = (id(user), id(brand));
        let kind = word(kind);
        let refund = matches!(kind.as_deref(), Some("refund" | "rf"));
        rows.refund.see(refund);
        rows.method_unknown.see(kind.is_none_or(|kind| !METHODS.contains(&kind.as_str())));
        moneys.see(amount, currency, refund, &known);
        spread.see(user, brand);
        if let Some(user) = user {
            user_missing.see(!people.users.contains(user));
        }
        let address = meta.as_deref().and_then(address_of);
        let in_meta = user.is_none() && address.as_deref().is_some_and(|address| people.knows(address));
        rows.user_in_meta.see(in_meta);
        rows.account_missing.see(user.is_none() && brand.is_none() && !in_meta);
        rows.of_brand.see(brand.is_some());
        rows.of_subscription.see(id(subscription).is_some());
        rows.of_invoice.see(text(invoice).is_some());
        let status = word(status);
        let is = |words: &[&str]| status.as_deref().is_some_and(|status| words.contains(&status));
        let failed = rows.failed.see(is(&["failed", "declined", "error"]));
        let pending = rows.pending.see(is(&["pending", "processing"]));
        let refunded = rows.refunded.see(is(&["refunded"]));
        rows.status_unknown.see(!failed && !pending && !refunded && !is(PAID));
        if let (Some(gateway), Some(reference)) = (word(gateway), text(reference))
            && !refund
        {
            rows.posted_again.see(!references.insert(xxh3_64(format!("{gateway}\n{reference}").as_bytes())));
        }
        let unknown = |time: &Option<String>| time.as_deref().is_none_or(|time| time.starts_with("0000"));
        rows.time_absent.see(unknown(paid) && unknown(noted));
        let json = meta.as_deref().map(serde_json::from_str::<serde_json::Value>);
        let broken = rows.meta_broken.see(matches!(json, Some(Err(_))));
        if !broken && address.is_none() {
            rows.meta_absent.see(json.is_none());
        }
    })?;
    moneys.set(&mut rates.money);
    rows.set(&mut rates.transaction);
    // About half of those that say so have a refund of their own.
    rates.transaction.refunded /= 2.0;
    user_missing.set(&mut rates.link.user_missing);
    spread.set(rates, people);
    super::rows::plantations(pages, rates, people, &ids)
}

fn address_of(meta: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(meta).ok()?;
    clean::email(json.get("email")?.as_str()?)
}
