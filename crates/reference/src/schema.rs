//! The tables that are only read.

diesel::table! {
    meta (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    currencies (code) {
        code -> Text,
        exponent -> SmallInt,
    }
}

diesel::table! {
    countries (code) {
        code -> Text,
        name -> Text,
    }
}

diesel::table! {
    accounts (id) {
        id -> BigInt,
    }
}

diesel::table! {
    plantings (id) {
        id -> BigInt,
    }
}

diesel::table! {
    payments (id) {
        id -> BigInt,
    }
}
