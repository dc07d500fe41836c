//! What the ledger said of a chunk before the last state of the legacy database changed it. The first state is taken back without it, and
//! of earlier ones it is forgotten: there is one copy of a chunk at the most.

mod chunk;
mod end;
mod kept;
mod restore;

pub(crate) use chunk::{Earlier, had, keep, look, of_chunk};
pub(super) use end::keep_end;
pub(crate) use end::restore_end;
pub(super) use kept::forget_chunk;
pub(crate) use kept::{begin, chunks, end, forget, is_under_way};
