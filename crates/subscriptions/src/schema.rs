//! The tables: `subscription` is the legacy one, `subscriptions` the platform's.

diesel::table! {
    subscription (id) {
        id -> BigInt,
        user_id -> BigInt,
        plan -> Text,
        trees_per_month -> BigInt,
        amount -> Text,
        currency -> Text,
        interval -> Text,
        status -> Text,
        started_when -> Timestamp,
        next_billing_when -> Timestamp,
        cancelled_when -> Timestamp,
        gateway_ref -> Text,
    }
}

diesel::table! {
    subscriptions (id) {
        id -> BigInt,
        account_id -> BigInt,
        plan -> Text,
        trees_per_cycle -> Integer,
        amount_minor -> BigInt,
        currency -> Text,
        cycle -> Text,
        status -> Text,
        gateway_ref -> Nullable<Text>,
        started_at -> replant_core::Utc,
        next_billing_at -> Nullable<replant_core::Utc>,
        cancelled_at -> Nullable<replant_core::Utc>,
    }
}
