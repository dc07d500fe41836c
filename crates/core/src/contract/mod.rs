//! All that a domain implements and is handed: steps, legacy rows, drafts, refusals, lookups.

pub mod domain;
pub mod draft;
pub mod legacy;
pub mod prepare;
pub mod refusal;
pub mod standing;
pub mod step;
