//! diesel's view of the legacy and the platform tables of this domain.
//!
//! Legacy columns are declared without `Nullable`: their cells take NULL by themselves.

#![allow(missing_docs, reason = "schemas/ describes the columns")]

pub(crate) mod legacy {
    diesel::table! {
        user (id) {
            id -> BigInt,
            email -> Text,
            first_name -> Text,
            last_name -> Text,
            display_name -> Text,
            phone -> Text,
            country -> Text,
            lang -> Text,
            password -> Text,
            #[sql_name = "type"]
            kind -> Text,
            credits -> Float,
            marketing_opt_in -> Text,
            deleted -> BigInt,
            created_when -> Timestamp,
            updated_when -> Timestamp,
            last_login -> Text,
            notes -> Text,
        }
    }

    diesel::table! {
        plantation (id) {
            id -> BigInt,
            user_id -> BigInt,
            planted_when -> Timestamp,
        }
    }

    diesel::table! {
        finance_transaction (id) {
            id -> BigInt,
            user_id -> BigInt,
            tx_when -> Timestamp,
        }
    }

    diesel::table! {
        subscription (id) {
            id -> BigInt,
            user_id -> BigInt,
            started_when -> Timestamp,
        }
    }
}

pub(crate) mod target {
    use replant_core::Utc;

    diesel::table! {
        use diesel::sql_types::*;
        use super::Utc;
        accounts (id) {
            id -> BigInt,
            kind -> Text,
            email -> Text,
            display_name -> Text,
            given_name -> Nullable<Text>,
            family_name -> Nullable<Text>,
            phone -> Nullable<Text>,
            country_code -> Nullable<Text>,
            locale -> Nullable<Text>,
            password_hash -> Nullable<Text>,
            marketing_consent -> Bool,
            status -> Text,
            merged_into -> Nullable<BigInt>,
            created_at -> Utc,
            last_seen_at -> Nullable<Utc>,
            updated_at -> Utc,
        }
    }

    diesel::table! {
        account_emails (email) {
            email -> Text,
            account_id -> BigInt,
        }
    }

    diesel::table! {
        use diesel::sql_types::*;
        use super::Utc;
        legacy_user_map (legacy_user_id) {
            legacy_user_id -> BigInt,
            account_id -> BigInt,
            migrated_at -> Utc,
            written_email -> Text,
            written_display_name -> Text,
            written_created_at -> Utc,
            written_credit_minor -> BigInt,
        }
    }
}
