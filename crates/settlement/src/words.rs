//! The words of enumerated columns: how something was paid, and what became of it.

/// How something was paid, as the platform calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Method {
    /// By card.
    Card,
    /// Through PayPal.
    #[strum(serialize = "paypal")]
    PayPal,
    /// From bank to bank.
    BankTransfer,
    /// From the account's credit.
    Credit,
    /// Within a group of brands.
    CrossCharge,
}

/// What the type of a transaction says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Money that came in.
    Payment(Method),
    /// Money that went back.
    Refund,
}

impl Kind {
    /// Of a word in lower case.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "card" | "cc" | "stripe" => Self::Payment(Method::Card),
            "paypal" | "pp" => Self::Payment(Method::PayPal),
            "bt" | "bank" | "bacs" | "bank transfer" => Self::Payment(Method::BankTransfer),
            "credit" | "credits" => Self::Payment(Method::Credit),
            "xc" | "cross charge" => Self::Payment(Method::CrossCharge),
            "refund" | "rf" => Self::Refund,
            _ => return None,
        })
    }
}

/// What became of a transaction, by its own row. Of doubles the first of these stays: a refunded payment is as good as one that
/// succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The money came.
    Succeeded,
    /// It did not.
    Failed,
    /// It is yet to come.
    Pending,
    /// It came and went back.
    Refunded,
}

impl State {
    /// Of a word in lower case.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "paid" | "complete" | "completed" | "success" | "succeeded" => Self::Succeeded,
            "failed" | "declined" | "error" => Self::Failed,
            "pending" | "processing" => Self::Pending,
            "refunded" => Self::Refunded,
            _ => return None,
        })
    }

    /// Of doubles the lowest rank stays.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Succeeded | Self::Refunded => 0,
            Self::Pending => 1,
            Self::Failed => 2,
        }
    }

    /// Whether money came in, be it that it went back since.
    pub(crate) fn came_in(self) -> bool {
        match self {
            Self::Succeeded | Self::Refunded => true,
            Self::Pending | Self::Failed => false,
        }
    }
}

/// What became of a bank transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clearing {
    /// The money is there.
    Cleared,
    /// It is yet to come.
    Pending,
    /// It came and was sent back.
    Reversed,
}

impl Clearing {
    /// Of a word in lower case.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "cleared" | "ok" | "received" => Self::Cleared,
            "pending" => Self::Pending,
            "reversed" | "returned" => Self::Reversed,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use replant_clean::word;

    use super::*;

    #[test]
    fn words_are_compared_after_the_text_rule_in_any_case() {
        for (raw, expect) in [
            (" CC ", Some(Kind::Payment(Method::Card))),
            ("Bank\u{a0} Transfer", Some(Kind::Payment(Method::BankTransfer))),
            ("bank_transfer", None),
            ("cross_charge", None),
            ("RF", Some(Kind::Refund)),
            ("gift card", None),
            ("n/a", None),
        ] {
            assert_eq!(word(raw).and_then(|word| Kind::of(&word)), expect, "{raw:?}");
        }
    }

    #[test]
    fn methods_are_those_of_the_platform() {
        let methods = [Method::Card, Method::PayPal, Method::BankTransfer, Method::Credit, Method::CrossCharge];
        let names: Vec<&str> = methods.into_iter().map(Into::into).collect();
        assert_eq!(names, ["card", "paypal", "bank_transfer", "credit", "cross_charge"]);
    }
}
