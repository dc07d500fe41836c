//! The tables: two legacy ones, and what is read of the platform's payments.

#![allow(missing_docs, reason = "schemas/ describes the columns")]

diesel::table! {
    finance_transaction (id) {
        id -> BigInt,
        user_id -> BigInt,
        brand_id -> BigInt,
        #[sql_name = "type"]
        kind -> Text,
        amount -> Text,
        currency -> Text,
        status -> Text,
        gateway -> Text,
        gateway_ref -> Text,
        parent_id -> BigInt,
        subscription_id -> BigInt,
        invoice_no -> Text,
        tx_when -> Timestamp,
        created_when -> Timestamp,
        meta -> Text,
    }
}

diesel::table! {
    bank_transfer (id) {
        id -> BigInt,
        user_id -> BigInt,
        payer_name -> Text,
        payer_email -> Text,
        reference -> Text,
        amount -> Text,
        currency -> Text,
        received -> Text,
        finance_transaction_id -> BigInt,
        status -> Text,
        notes -> Text,
    }
}

// The references of the payments that customers made; the domain `payments` knows the whole of the table.
diesel::table! {
    payments (id) {
        id -> BigInt,
        gateway -> Nullable<Text>,
        gateway_ref -> Nullable<Text>,
    }
}
