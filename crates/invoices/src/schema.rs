//! The tables: `invoice` is the legacy one, `invoices` the platform's.

diesel::table! {
    invoice (id) {
        id -> BigInt,
        invoice_no -> Text,
        user_id -> BigInt,
        total -> Text,
        currency -> Text,
        issued -> Text,
        due -> Text,
        paid -> Text,
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
