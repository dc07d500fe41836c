//! Readers: a legacy `card` becomes a row of `readers`.

use std::sync::Arc;

use diesel::prelude::*;
use replant_core::db::MultiBackend;
use replant_core::prelude::*;
use replant_core::{StepPlan, shape_of};
use serde::{Deserialize, Serialize};

diesel::table! {
    card (id) {
        id -> BigInt,
        holder -> Text,
        email -> Text,
    }
}

diesel::table! {
    readers (id) {
        id -> BigInt,
        name -> Text,
        email -> Text,
    }
}

/// A legacy row, as it truly is.
#[derive(Debug, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = card, check_for_backend(MultiBackend))]
pub(crate) struct Card {
    id: Key,
    holder: Cell<String>,
    email: Cell<String>,
}

/// A row as the catalogue will have it.
#[derive(Debug, Clone, Insertable, Serialize)]
#[diesel(table_name = readers, treat_none_as_default_value = false)]
pub(crate) struct NewReader {
    id: i64,
    name: String,
    email: String,
}

replant_core::legacy!(Card => card, "card", key = id);
replant_core::insert!(NewReader => readers);

replant_core::rows! {
    /// What a chunk of cards writes.
    pub(crate) struct Rows { readers: NewReader }
}

/// The domain.
pub(crate) fn domain() -> Domain {
    Domain::new("readers").step::<Readers>()
}

/// Legacy `card` to `readers`.
pub(crate) struct Readers;

impl Step for Readers {
    const NAME: &'static str = "readers.readers";
    const ABOUT: &'static str = "cards become readers";
    const AFTER: &'static [&'static str] = &[];
    const TARGET: &'static str = "readers";
    const FATES: &'static [(&'static str, Fate)] = &[
        ("id", Fate::Derived("kept as the key in the lineage")),
        ("holder", Fate::Moved("readers.name")),
        ("email", Fate::Moved("readers.email")),
    ];

    type Legacy = Card;
    type Lookups = Arc<StepPlan>;
    type Rows = Rows;

    fn writes() -> Vec<TableShape> {
        vec![shape_of::<readers::table>("readers")]
    }

    fn prepare(cx: &Prepare<'_>) -> Result<Self::Lookups, PrepareError> {
        Ok(cx.plan())
    }

    fn transform(plan: &Arc<StepPlan>, unit: &Unit<'_, Card>, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
        let card = unit.leader();
        let holder = card.holder.text("holder")?.unwrap_or_default();
        let name = holder.trim().to_owned();
        if name.is_empty() {
            return Err(Refusal::skip("blank_card"));
        }
        if name != holder {
            draft.repair(card.id, "name_trimmed", "holder", holder.to_owned(), name.clone());
        }
        let email = card.email.text("email")?.unwrap_or_default().to_owned();
        if !email.contains('@') {
            return Err(Refusal::quarantine("email_invalid", "the e-mail address has no @"));
        }
        let id = plan.id_of(card.id).ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"))?;
        draft.write(NewReader { id, name, email });
        Ok(id)
    }
}
