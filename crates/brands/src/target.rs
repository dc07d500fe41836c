//! Brands as the platform will have them, and what they make of their accounts.

use diesel::prelude::*;
use replant_core::Batch;
use replant_core::prelude::*;
use serde::Serialize;

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

replant_core::insert!(NewBrand => brands, money = NewBrand::price);

/// An account that has a brand: its kind becomes `brand`, whoever opened it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrandAccount {
    /// The account.
    pub account_id: i64,
    /// Whether this migration made it. If not, it is a changed row: the platform is to see when.
    pub made: bool,
}

impl Write for BrandAccount {
    /// An account a statement, by their ids: so two chunks with the same accounts never wait for each other.
    fn write(tx: &mut Tx<'_>, batch: &Batch<Self>) -> QueryResult<()> {
        let mut due: Vec<_> = batch.iter().filter(|(unit, _)| !tx.is_refused(*unit)).collect();
        due.sort_by_key(|(_, account)| account.account_id);
        let now = Instant::now().as_sql();
        let mut changes = Vec::new();
        for (unit, account) in due {
            let id = account.account_id;
            let updated = if account.made { String::new() } else { format!(", updated_at = '{now}'") };
            let changed = tx
                .execute(&format!("UPDATE accounts SET kind = 'brand'{updated} WHERE id = {id} AND kind <> 'brand'"))?;
            if changed > 0 {
                tx.touch(unit);
            }
            if changed > 0 && !account.made {
                changes.push(became_brand(id));
            }
        }
        tx.changed(changes)
    }
}

/// Of several brands, which one comes first depends on the chunks: none is named.
fn became_brand(account_id: i64) -> Change {
    Change {
        table: "accounts",
        id: account_id,
        legacy_key: None,
        what: "became_brand",
        before: Some(r#"{"kind":"person"}"#.to_owned()),
        after: Some(r#"{"kind":"brand"}"#.to_owned()),
    }
}

replant_core::rows! {
    /// What a chunk of brands writes. A brand that the target refuses leaves its account as it is.
    pub struct Rows { brands: NewBrand, accounts: BrandAccount }
}
