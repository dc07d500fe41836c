//! Brands as the platform will have them, and what they make of their accounts.

use diesel::prelude::*;
use replant_core::prelude::*;
use replant_core::{Amending, Amendment, Batch, Lock};
use serde::Serialize;
use users::Account;

use crate::schema::brands;

/// How a brand pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum BillingMode {
    /// By card.
    Card,
    /// By invoice.
    Invoice,
    /// Within its group.
    CrossCharge,
}

/// A row of `brands`.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Serialize)]
#[diesel(table_name = brands, treat_none_as_default_value = false)]
pub struct NewBrand {
    /// The id, from the step's block.
    pub id: i64,
    /// The account of the brand's user.
    pub account_id: i64,
    /// Not empty.
    pub name: String,
    /// As it was written.
    pub vat_number: Option<String>,
    /// A [`BillingMode`].
    pub billing_mode: &'static str,
    /// One that the platform has.
    pub currency: String,
    /// In minor units of the currency; not negative.
    pub price_per_tree_minor: Option<i64>,
    /// The group of companies.
    pub group_name: Option<String>,
}

impl NewBrand {
    /// The price that the row carries.
    fn price(&self) -> Option<Money> {
        Some(Money { currency: Currency::new(&self.currency)?, minor: self.price_per_tree_minor? })
    }
}

replant_core::insert!(NewBrand => brands, money = NewBrand::price, together = [[currency, price_per_tree_minor]],
    fixed = [account_id]);

/// An account that has a brand: its kind becomes `brand`, whoever opened it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrandAccount {
    /// The account.
    pub account_id: i64,
    /// Whether this migration made it. If not, it is a changed row: the platform is to see when.
    pub made: bool,
}

/// What became of an account, in a word.
pub(crate) const BECAME_BRAND: &str = "became_brand";

impl Write for BrandAccount {
    /// Those that the migration made come first, then by their ids: so two chunks with the same accounts never wait for each other.
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        for made in [true, false] {
            let accounts = batch.iter().filter(|(_, account)| account.made == made);
            // Of several brands, which one comes first depends on the chunks: none is named.
            let amendment = |(unit, account): (_, &Self)| Amendment {
                unit,
                id: account.account_id,
                legacy_key: None,
                lock: Lock::Values,
            };
            let rows: Vec<Amendment> = accounts.map(amendment).collect();
            let amending = Amending { what: BECAME_BRAND, stamp: (!made).then_some("updated_at") };
            tx.amend(amending, &rows, &mut |place, found: Option<Account>| {
                let gone =
                    || (Code::TARGET_ROW_GONE, format!("account {} was deleted on the platform", rows[place].id));
                found.map(|account| Account { kind: "brand".to_owned(), ..account }).ok_or_else(gone)
            })?;
        }
        Ok(())
    }
}

replant_core::rows! {
    /// What a chunk of brands writes. A brand that the target refuses leaves its account as it is.
    pub struct Rows { brands: NewBrand, accounts: BrandAccount }
}
