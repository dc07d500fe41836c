//! What a chunk of bank transfers writes; the models are those of `payments`.

use payments::{NewAllocation, NewPayment, NewRefund};

replant_core::rows! {
    /// What a chunk of bank transfers writes.
    pub struct Rows { payments: NewPayment, refunds: NewRefund, allocations: NewAllocation }
}
