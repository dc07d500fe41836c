//! The codes of money that came in, in the order in which a row gets the first that applies.

/// Why a transaction does not come in, after its parents and the value rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TransactionCode {
    /// No way to pay that the platform knows.
    MethodUnknown,
    /// Nothing that says what became of it.
    StatusUnknown,
    /// Nobody whose payment it could be.
    AccountMissing,
    /// No money.
    AmountNotPositive,
    /// No time.
    PaidAtUnknown,
    /// Another transaction is the same payment.
    Duplicate,
    /// Different payments have one reference.
    GatewayRefConflict,
    /// A payment that a customer made since the launch has the reference.
    AlreadyNative,
    /// The refund failed, or is yet to come.
    RefundNotDone,
    /// No payment that it could give back.
    RefundOrphan,
    /// It gives back more than is left.
    RefundExceedsPayment,
}

/// What was changed of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TransactionRepair {
    /// The account is that of an e-mail in `meta`.
    AccountRecovered,
    /// Pending for too long: it failed.
    StalePending,
    /// The time is that of its entry.
    PaidAtDerived,
    /// The subscription is not on the platform.
    SubscriptionLinkBroken,
}

/// Why a bank transfer does not come in, after its parents and the value rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TransferCode {
    /// Nothing that says what became of it.
    StatusUnknown,
    /// The money is not there yet.
    NotCleared,
    /// Nobody who could have paid.
    PayerUnknown,
    /// No money.
    AmountNotPositive,
    /// No day.
    ReceivedUnknown,
    /// A transaction shows the same money.
    AlreadyRecorded,
    /// A payment of the platform has the reference that it would get.
    AlreadyNative,
}
