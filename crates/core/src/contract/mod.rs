//! All that a domain implements and is handed: steps, legacy rows, drafts, refusals, lookups.

pub(crate) mod domain;
pub(crate) mod draft;
pub(crate) mod inspect;
pub(crate) mod legacy;
pub(crate) mod prepare;
pub(crate) mod refusal;
pub(crate) mod standing;
pub(crate) mod step;
