//! The tables: `credit_entry` is the legacy one, `credit_entries` and `accounts` the platform's.

diesel::table! {
    credit_entry (id) {
        id -> BigInt,
        user_id -> BigInt,
        delta -> Text,
        currency -> Text,
        reason -> Text,
        ref_type -> Text,
        ref_id -> BigInt,
        created_when -> Timestamp,
    }
}

diesel::table! {
    credit_entries (id) {
        id -> BigInt,
        account_id -> BigInt,
        currency -> Text,
        delta_minor -> BigInt,
        reason -> Text,
        occurred_at -> replant_core::Utc,
    }
}

diesel::table! {
    accounts (id) {
        id -> BigInt,
        merged_into -> Nullable<BigInt>,
    }
}
