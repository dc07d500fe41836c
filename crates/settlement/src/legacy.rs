//! Legacy transactions and bank transfers as they truly are.

use diesel::prelude::*;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

use crate::schema::{bank_transfer, finance_transaction};

/// A row of `finance_transaction`: a payment, or a refund of one.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = finance_transaction, check_for_backend(MultiBackend))]
pub struct Transaction {
    /// The key.
    pub id: Key,
    /// The user who paid; 0 is NULL.
    pub user_id: Cell<i64>,
    /// The brand that was paid for; 0 is NULL.
    pub brand_id: Cell<i64>,
    /// How it was paid, or `refund`.
    #[serde(rename = "type")]
    pub kind: Cell<String>,
    /// An amount, in many forms.
    pub amount: Cell<String>,
    /// A currency: a code or a symbol.
    pub currency: Cell<String>,
    /// What became of it, in many words.
    pub status: Cell<String>,
    /// Who took the money: `stripe`, `Stripe`.
    pub gateway: Cell<String>,
    /// The gateway's name for it.
    pub gateway_ref: Cell<String>,
    /// Of a refund: the transaction refunded.
    pub parent_id: Cell<i64>,
    /// The subscription that it pays; 0 is NULL.
    pub subscription_id: Cell<i64>,
    /// The invoice that it pays, in many forms.
    pub invoice_no: Cell<String>,
    /// When it happened, in UTC.
    pub tx_when: Cell<Wall>,
    /// When it was entered, by London's clocks.
    pub created_when: Cell<Wall>,
    /// JSON, sometimes cut off.
    pub meta: Cell<String>,
}

replant_core::legacy!(Transaction => finance_transaction, "finance_transaction", key = id);

/// A row of `bank_transfer`, kept by hand.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = bank_transfer, check_for_backend(MultiBackend))]
pub struct Transfer {
    /// The key.
    pub id: Key,
    /// The user who paid; 0 is NULL.
    pub user_id: Cell<i64>,
    /// The name on the statement.
    pub payer_name: Cell<String>,
    /// The address of who paid.
    pub payer_email: Cell<String>,
    /// What was to be paid: numbers of invoices, or words.
    pub reference: Cell<String>,
    /// An amount, in many forms.
    pub amount: Cell<String>,
    /// A currency: a code or a symbol.
    pub currency: Cell<String>,
    /// A day, in several forms.
    pub received: Cell<String>,
    /// The transaction that shows the same money.
    pub finance_transaction_id: Cell<i64>,
    /// `cleared`, `pending`, `reversed` and their kin.
    pub status: Cell<String>,
    /// Notes of the staff.
    pub notes: Cell<String>,
}

replant_core::legacy!(Transfer => bank_transfer, "bank_transfer", key = id);
