//! The rules of brands.

use reference::{Price, PriceCells};
use replant_clean as clean;
use replant_core::prelude::*;

use crate::Lookups;
use crate::legacy::Brand;
use crate::target::{BillingMode, BrandAccount, NewBrand, Rows};

/// The codes of brands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
enum BrandCode {
    /// A negative price.
    AmountNotPositive,
    /// No name.
    BrandNameMissing,
    /// No user, or one that is not there.
    AccountMissing,
    /// Nothing that says how the brand pays: by invoice.
    BillingDefaulted,
}

/// Judges a brand: it belongs to the account of its user.
pub(crate) fn brand(lookups: &Lookups, row: &Brand, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
    // The price is counted whatever becomes of the brand.
    let price = price(row, &lookups.currencies.0, draft);
    let user = lookups.users.of(row.user_id.reference("user_id")?);
    let id = lookups.plan.id_of(row.id).ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"))?;
    let brand = new_brand(id, row, &user, price, draft)?;
    draft.write(BrandAccount { account_id: brand.account_id, made: lookups.users.made(brand.account_id) });
    draft.write(brand);
    Ok(id)
}

/// The brand, or the first code that applies: the parent, the value rules, the brand's own.
fn new_brand(
    id: i64,
    row: &Brand,
    user: &Standing,
    price: Result<Price, Refusal>,
    draft: &mut Draft<Rows>,
) -> Result<NewBrand, Refusal> {
    Refusal::of_parents([user])?;
    let price = price?;
    let name = reference::text(&row.name, "name", row.id, draft)?;
    let name = name.ok_or_else(|| Refusal::quarantine(BrandCode::BrandNameMissing, "the brand has no name"))?;
    let Standing::Live(account_id) = *user else {
        return Err(Refusal::quarantine(BrandCode::AccountMissing, "the brand's user is not there"));
    };
    let mut text = |cell, column| {
        let text = reference::text(cell, column, row.id, draft);
        text.map(|text| text.map(String::from))
    };
    Ok(NewBrand {
        id,
        account_id,
        name: name.into_owned(),
        vat_number: text(&row.vat_no, "vat_no")?,
        group_name: text(&row.group_name, "group_name")?,
        billing_mode: billing_mode(row, draft)?.into(),
        currency: price.currency.code.into(),
        price_per_tree_minor: price.amount.map(|amount| amount.money.minor),
    })
}

/// Reads the price and counts it, for as long as it can be read.
fn price(row: &Brand, currencies: &clean::Currencies, draft: &mut Draft<Rows>) -> Result<Price, Refusal> {
    let cells = PriceCells { amount: &row.price_per_tree, amount_column: "price_per_tree", currency: &row.currency };
    let price = cells.take(row.id, currencies, draft)?;
    match price.amount {
        Some(amount) if amount.money.minor < 0 => {
            Err(Refusal::quarantine(BrandCode::AmountNotPositive, "the price is negative"))
        }
        _ => Ok(price),
    }
}

fn billing_mode(row: &Brand, draft: &mut Draft<Rows>) -> Result<BillingMode, Refusal> {
    let text = reference::text(&row.billing, "billing", row.id, draft)?;
    let mode = text.and_then(|text| match text.to_lowercase().as_str() {
        "card" => Some(BillingMode::Card),
        "invoice" => Some(BillingMode::Invoice),
        "cross charge" | "cross_charge" | "xc" => Some(BillingMode::CrossCharge),
        _ => None,
    });
    Ok(mode.unwrap_or_else(|| {
        let invoice: &str = BillingMode::Invoice.into();
        draft.repair(row.id, BrandCode::BillingDefaulted, "billing", row.billing.good().cloned(), invoice.to_owned());
        BillingMode::Invoice
    }))
}

#[cfg(test)]
mod tests {
    use replant_core::Root;

    use super::*;

    const LIVE: Standing = Standing::Live(500);

    fn currencies() -> clean::Currencies {
        let rows = [("GBP", 2), ("EUR", 2), ("AUD", 2), ("JPY", 0), ("KWD", 3)];
        clean::Currencies::new(rows.map(|(code, exponent)| (code.to_owned(), exponent)))
    }

    fn good(text: &str) -> Cell<String> {
        Cell::Good(text.to_owned())
    }

    fn bad<T>() -> Cell<T> {
        Cell::bad("0000-00-00 00:00:00", "no such day")
    }

    /// A brand without faults.
    fn acorn() -> Brand {
        Brand {
            id: 3,
            user_id: Cell::Good(5),
            name: good("Acorn"),
            vat_no: Cell::Null,
            billing: good("card"),
            currency: good("GBP"),
            price_per_tree: good("0.60"),
            group_name: Cell::Null,
            created_when: bad(),
        }
    }

    fn priced(price: &str, currency: &str) -> Brand {
        Brand { price_per_tree: good(price), currency: good(currency), ..acorn() }
    }

    /// The brand or the code of its refusal, and its repairs as `code column: before -> after`.
    fn judge(row: &Brand, user: &Standing) -> (Result<NewBrand, &'static str>, Vec<String>) {
        let mut draft = Draft::<Rows>::default();
        let price = price(row, &currencies(), &mut draft);
        let brand = new_brand(101, row, user, price, &mut draft).map_err(|refusal| match refusal {
            Refusal::Skipped(code) | Refusal::Quarantined { code, .. } => code.as_str(),
        });
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
        let repairs =
            draft.repairs().map(|r| format!("{} {}: {} -> {}", r.code, r.column, shown(&r.before), shown(&r.after)));
        (brand, repairs.collect())
    }

    #[track_caller]
    fn check_code(row: &Brand, user: &Standing, expect: &str) {
        assert_eq!(judge(row, user).0.map(|brand| brand.id), Err(expect), "{row:?}");
    }

    #[test]
    fn a_brand_belongs_to_the_account_of_its_user() {
        let row = Brand { vat_no: good(" GB 1"), group_name: good("Verdant  Group"), ..acorn() };
        let expect = NewBrand {
            id: 101,
            account_id: 500,
            name: "Acorn".to_owned(),
            vat_number: Some("GB 1".to_owned()),
            billing_mode: "card",
            currency: "GBP".to_owned(),
            price_per_tree_minor: Some(60),
            group_name: Some("Verdant Group".to_owned()),
        };
        assert_eq!(judge(&row, &LIVE), (Ok(expect), vec![]));
    }

    #[test]
    fn the_first_code_that_applies_wins() {
        let quarantined = Standing::Quarantined(Root { step: "users.accounts".to_owned(), key: 5 });
        let mut row = Brand { name: Cell::Null, ..priced("sixty", "XYZ") };
        for (user, code) in [
            (&quarantined, "parent_quarantined"),
            (&Standing::Skipped, "parent_skipped"),
            (&Standing::Missing, "amount_invalid"),
        ] {
            check_code(&row, user, code);
        }
        for (price, currency, code) in [
            ("€-5", "GBP", "currency_conflict"),
            ("-5", "XYZ", "currency_unknown"),
            ("-5", "GBP", "amount_not_positive"),
            ("5", "GBP", "brand_name_missing"),
        ] {
            row = Brand { name: Cell::Null, ..priced(price, currency) };
            check_code(&row, &Standing::Missing, code);
        }
        check_code(&acorn(), &Standing::Missing, "account_missing");
    }

    #[test]
    fn a_name_is_needed() {
        for name in [Cell::Null, good(""), good(" n/a ")] {
            check_code(&Brand { name, ..acorn() }, &LIVE, "brand_name_missing");
        }
    }

    #[test]
    fn a_cell_that_cannot_be_read_is_unforeseen() {
        for row in [
            Brand { name: bad(), ..acorn() },
            Brand { price_per_tree: bad(), ..acorn() },
            Brand { currency: bad(), ..acorn() },
            Brand { billing: bad(), ..acorn() },
        ] {
            check_code(&row, &LIVE, "unforeseen");
        }
    }

    #[test]
    fn billing_is_known_by_many_words_or_by_invoice() {
        for (billing, expect, defaulted) in [
            (good("Card "), "card", None),
            (good("INVOICE"), "invoice", None),
            (good("cross charge"), "cross_charge", None),
            (good("Cross_Charge"), "cross_charge", None),
            (good("XC"), "cross_charge", None),
            (good("direct debit"), "invoice", Some("billing_defaulted billing: direct debit -> invoice")),
            (good(""), "invoice", Some("billing_defaulted billing:  -> invoice")),
            (Cell::Null, "invoice", Some("billing_defaulted billing: NULL -> invoice")),
        ] {
            let (brand, repairs) = judge(&Brand { billing, ..acorn() }, &LIVE);
            assert_eq!(brand.map(|brand| brand.billing_mode), Ok(expect));
            assert_eq!(repairs, defaulted.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_price_is_in_minor_units_of_its_currency() {
        for (price, currency, expect, repairs) in [
            ("£0.60", "", ("GBP", Some(60)), vec![]),
            ("60p", "GBP", ("GBP", Some(60)), vec![]),
            ("$1", "aud", ("AUD", Some(100)), vec![]),
            ("120", "¥", ("JPY", Some(120)), vec![]),
            ("0.125", "KWD", ("KWD", Some(125)), vec![]),
            ("0", "£", ("GBP", Some(0)), vec![]),
            ("n/a", "EURO", ("EUR", None), vec![]),
            ("0,75", "n/a", ("GBP", Some(75)), vec!["currency_defaulted currency: n/a -> GBP"]),
            ("-", "", ("GBP", None), vec!["currency_defaulted currency:  -> GBP"]),
            ("0.125", "GBP", ("GBP", Some(12)), vec!["amount_rounded price_per_tree: 0.125 -> 0.12"]),
            ("-0.001", "GBP", ("GBP", Some(0)), vec!["amount_rounded price_per_tree: -0.001 -> 0.00"]),
            ("1.5", "JPY", ("JPY", Some(2)), vec!["amount_rounded price_per_tree: 1.5 -> 2"]),
            ("Â£0.60", "GBP", ("GBP", Some(60)), vec!["text_cleaned price_per_tree: Â£0.60 -> £0.60"]),
        ] {
            let (brand, found) = judge(&priced(price, currency), &LIVE);
            let brand = brand.map(|brand| (brand.currency, brand.price_per_tree_minor));
            assert_eq!(
                (brand, found),
                (Ok((expect.0.to_owned(), expect.1)), repairs.iter().map(ToString::to_string).collect()),
                "{price} {currency}"
            );
        }
    }

    #[test]
    fn a_price_without_a_place_is_quarantined() {
        for (price, currency, code) in [
            ("sixty pence", "GBP", "amount_invalid"),
            ("£0.60", "EUR", "currency_conflict"),
            ("0.60", "BTC", "currency_unknown"),
            ("-0.60", "GBP", "amount_not_positive"),
            ("92233720368547758.08", "GBP", "value_out_of_range"),
            ("99999999999999999999999999999999", "GBP", "value_out_of_range"),
            ("99999999999999999999999999999999", "BTC", "currency_unknown"),
        ] {
            check_code(&priced(price, currency), &LIVE, code);
        }
    }
}
