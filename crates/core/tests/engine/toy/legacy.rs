//! The toy's legacy rows.

use diesel::prelude::*;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use serde::{Deserialize, Serialize};

diesel::table! {
    thing (id) {
        id -> BigInt,
        name -> Text,
        parent_id -> BigInt,
        qty -> Integer,
        note -> Text,
    }
}

diesel::table! {
    part (id) {
        id -> BigInt,
        thing_id -> BigInt,
        amount -> Text,
        currency -> Text,
    }
}

diesel::table! {
    knob (id) {
        id -> BigInt,
        value -> Text,
    }
}

#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = thing, check_for_backend(MultiBackend))]
pub(crate) struct Thing {
    pub(crate) id: Key,
    pub(crate) name: Cell<String>,
    pub(crate) parent_id: Cell<i64>,
    pub(crate) qty: Cell<i32>,
    pub(crate) note: Cell<String>,
}

#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = part, check_for_backend(MultiBackend))]
pub(crate) struct Part {
    pub(crate) id: Key,
    pub(crate) thing_id: Cell<i64>,
    pub(crate) amount: Cell<String>,
    pub(crate) currency: Cell<String>,
}

#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = knob, check_for_backend(MultiBackend))]
pub(crate) struct Knob {
    pub(crate) id: Key,
    pub(crate) value: String,
}

replant_core::legacy!(Thing => thing, "thing", key = id);
replant_core::legacy!(Part => part, "part", key = id);
replant_core::legacy!(Knob => knob, "knob", key = id);
