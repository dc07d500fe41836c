//! diesel's view of the tables that the reports read: those of their columns that they show.
//!
//! Legacy columns are declared without `Nullable`: their cells take NULL by themselves.

#![allow(missing_docs, reason = "schemas/ describes the columns")]

pub(crate) mod legacy {
    diesel::table! {
        user (id) {
            id -> BigInt,
            email -> Text,
            credits -> Float,
        }
    }

    diesel::table! {
        brand (id) {
            id -> BigInt,
            user_id -> BigInt,
            name -> Text,
        }
    }

    diesel::table! {
        plantation (id) {
            id -> BigInt,
            user_id -> BigInt,
            brand_id -> BigInt,
            trees -> BigInt,
            source -> Text,
            gift_email -> Text,
            status -> Text,
            planted_when -> Timestamp,
        }
    }

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
            parent_id -> BigInt,
            tx_when -> Timestamp,
            meta -> Text,
        }
    }

    diesel::table! {
        subscription (id) {
            id -> BigInt,
            user_id -> BigInt,
            plan -> Text,
            amount -> Text,
            currency -> Text,
            status -> Text,
            started_when -> Timestamp,
        }
    }

    diesel::table! {
        invoice (id) {
            id -> BigInt,
            invoice_no -> Text,
            user_id -> BigInt,
            total -> Text,
            currency -> Text,
            issued -> Text,
        }
    }

    diesel::table! {
        bank_transfer (id) {
            id -> BigInt,
            user_id -> BigInt,
            payer_email -> Text,
            reference -> Text,
            amount -> Text,
            currency -> Text,
            received -> Text,
            status -> Text,
        }
    }

    diesel::table! {
        cross_charge (id) {
            id -> BigInt,
            brand_id -> BigInt,
            brand_name -> Text,
            period -> Text,
            trees -> BigInt,
            total -> Text,
            currency -> Text,
            status -> Text,
        }
    }

    diesel::table! {
        credit_entry (id) {
            id -> BigInt,
            user_id -> BigInt,
            delta -> Text,
            currency -> Text,
            reason -> Text,
            created_when -> Timestamp,
        }
    }
}

pub(crate) mod target {
    use replant_core::Utc;

    diesel::table! {
        currencies (code) {
            code -> Text,
            exponent -> SmallInt,
        }
    }

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
        legacy_user_map (legacy_user_id) {
            legacy_user_id -> BigInt,
            account_id -> BigInt,
        }
    }

    diesel::table! {
        brands (id) {
            id -> BigInt,
            account_id -> BigInt,
            name -> Text,
            billing_mode -> Text,
        }
    }

    diesel::table! {
        projects (id) {
            id -> BigInt,
            name -> Text,
        }
    }

    diesel::table! {
        use diesel::sql_types::*;
        use super::Utc;
        subscriptions (id) {
            id -> BigInt,
            account_id -> BigInt,
            plan -> Text,
            trees_per_cycle -> Integer,
            amount_minor -> BigInt,
            currency -> Text,
            cycle -> Text,
            status -> Text,
            started_at -> Utc,
            next_billing_at -> Nullable<Utc>,
            cancelled_at -> Nullable<Utc>,
        }
    }

    diesel::table! {
        invoices (id) {
            id -> BigInt,
            account_id -> BigInt,
            number -> Text,
            total_minor -> BigInt,
            currency -> Text,
            issued_on -> Date,
            due_on -> Nullable<Date>,
            status -> Text,
        }
    }

    diesel::table! {
        use diesel::sql_types::*;
        use super::Utc;
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
        use super::Utc;
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

    diesel::table! {
        use diesel::sql_types::*;
        use super::Utc;
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

    diesel::table! {
        cross_charges (id) {
            id -> BigInt,
            brand_id -> BigInt,
            period -> Date,
            trees -> Integer,
            unit_price_minor -> BigInt,
            total_minor -> BigInt,
            currency -> Text,
            cost_centre -> Text,
            invoice_number -> Nullable<Text>,
        }
    }

    diesel::table! {
        use diesel::sql_types::*;
        use super::Utc;
        credit_entries (id) {
            id -> BigInt,
            account_id -> BigInt,
            currency -> Text,
            delta_minor -> BigInt,
            reason -> Text,
            occurred_at -> Utc,
        }
    }

    diesel::allow_tables_to_appear_in_same_query!(
        accounts,
        brands,
        cross_charges,
        invoices,
        payment_allocations,
        payments,
        plantings,
        projects,
        refunds
    );
}
