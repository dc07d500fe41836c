//! The platform's tables; the legacy ones are in `settlement`.

#![allow(missing_docs, reason = "schemas/ describes the columns")]

diesel::table! {
    use diesel::sql_types::*;
    use replant_core::Utc;
    payments (id) {
        id -> BigInt,
        account_id -> BigInt,
        method -> Text,
        status -> Text,
        amount_minor -> BigInt,
        currency -> Text,
        gateway -> Nullable<Text>,
        gateway_ref -> Nullable<Text>,
        subscription_id -> Nullable<BigInt>,
        paid_at -> Utc,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use replant_core::Utc;
    refunds (id) {
        id -> BigInt,
        payment_id -> BigInt,
        amount_minor -> BigInt,
        reason -> Text,
        refunded_at -> Utc,
    }
}

diesel::table! {
    payment_allocations (payment_id, invoice_id) {
        payment_id -> BigInt,
        invoice_id -> BigInt,
        amount_minor -> BigInt,
    }
}
