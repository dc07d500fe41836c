//! The codes of this domain.

/// Why a user does not come in, or was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum End {
    /// `type` test, or an address that nobody reads.
    TestAccount,
    /// No e-mail, or none that can be one.
    EmailInvalid,
}

/// What was changed about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Repair {
    /// A password that is no bcrypt hash is left behind.
    PasswordDropped,
    /// The display name was cut at 120 code points.
    NameTruncated,
    /// The account's creation time is not the user's own.
    CreatedAtRepaired,
}

/// A user that is one person with another one.
pub(crate) const DUPLICATE_EMAIL: &str = "duplicate_email";
