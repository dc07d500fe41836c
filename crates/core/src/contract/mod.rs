//! All that a domain implements and is handed: steps, legacy rows, drafts, refusals, lookups.

pub(crate) mod cache;
pub(crate) mod draft;
pub(crate) mod errors;
pub(crate) mod inspect;
pub(crate) mod legacy;
pub(crate) mod pages;
pub(crate) mod person;
pub(crate) mod refusal;
pub(crate) mod step;
