//! The tables: `brand` is the legacy one, the others are the platform's.

diesel::table! {
    brand (id) {
        id -> BigInt,
        user_id -> BigInt,
        name -> Text,
        vat_no -> Text,
        billing -> Text,
        currency -> Text,
        price_per_tree -> Text,
        group_name -> Text,
        created_when -> Timestamp,
    }
}

diesel::table! {
    brands (id) {
        id -> BigInt,
        account_id -> BigInt,
        name -> Text,
        vat_number -> Nullable<Text>,
        billing_mode -> Text,
        currency -> Text,
        price_per_tree_minor -> Nullable<BigInt>,
        group_name -> Nullable<Text>,
    }
}

// What a brand changes of its account; the domain `users` knows the whole of it.
diesel::table! {
    accounts (id) {
        id -> BigInt,
        kind -> Text,
        updated_at -> replant_core::Utc,
    }
}
