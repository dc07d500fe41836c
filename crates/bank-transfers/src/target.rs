//! What a chunk of bank transfers writes; the models are those of `payments`.

use payments::{NewPayment, NewRefund, Settled};

replant_core::rows! {
    /// What a chunk of bank transfers writes.
    pub struct Rows { payments: NewPayment, refunds: NewRefund, settled: Settled }
}
