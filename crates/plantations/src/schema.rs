//! The tables: `plantation` is the legacy one, `plantings` the platform's.

diesel::table! {
    plantation (id) {
        id -> BigInt,
        user_id -> BigInt,
        brand_id -> BigInt,
        project_id -> BigInt,
        trees -> BigInt,
        source -> Text,
        gift_email -> Text,
        gift_message -> Text,
        cost -> Float,
        currency -> Text,
        finance_transaction_id -> BigInt,
        status -> Text,
        planted_when -> Timestamp,
        created_when -> Timestamp,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use replant_core::Utc;
    plantings (id) {
        id -> BigInt,
        account_id -> BigInt,
        brand_id -> Nullable<BigInt>,
        project_id -> BigInt,
        payment_id -> Nullable<BigInt>,
        kind -> Text,
        status -> Text,
        trees -> Integer,
        cost_minor -> Nullable<BigInt>,
        currency -> Nullable<Text>,
        recipient_email -> Nullable<Text>,
        recipient_account_id -> Nullable<BigInt>,
        message -> Nullable<Text>,
        planted_at -> Utc,
    }
}
