//! The tables: `cross_charge` and `brand` are legacy ones, `cross_charges` is the platform's.

diesel::table! {
    cross_charge (id) {
        id -> BigInt,
        brand_id -> BigInt,
        brand_name -> Text,
        period -> Text,
        trees -> BigInt,
        unit_price -> Text,
        total -> Text,
        currency -> Text,
        cost_centre -> Text,
        invoice_no -> Text,
        revision -> BigInt,
        status -> Text,
        created_when -> Timestamp,
    }
}

// What a charge without a brand's id needs of the brands; the domain `brands` knows the whole of it.
diesel::table! {
    brand (id) {
        id -> BigInt,
        name -> Text,
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
