//! What judging chunks again came to.

/// What judging chunks again came to, in legacy rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rejudged {
    /// Rows that were read and judged.
    pub read: u64,
    /// Rows that were out and are in the target now.
    pub came_in: u64,
    /// Rows that were in the target and were written anew.
    pub rewritten: u64,
    /// Rows that were in the target and were taken out.
    pub taken_out: u64,
    /// Rows that stay out, for another reason than before.
    pub still_out: u64,
    /// Rows that would come out otherwise now, but what was written for them cannot be taken back.
    pub kept: u64,
    /// Units that the target refused.
    pub refused: u64,
    /// Units of which columns would come out otherwise, and a customer has changed them.
    pub conflicts: u64,
    /// Target rows that belong to no unit any more, and stay: something points to them, or a customer has changed them.
    pub surplus: u64,
    /// Target rows that belonged to no unit any more, and were taken out.
    pub cleared: u64,
    /// Rows for which something was done to rows that were there before, and cannot be taken back yet.
    pub entangled: u64,
}

impl Rejudged {
    /// Whether anything has to wait for what comes later.
    pub(crate) fn is_blocked(&self) -> bool {
        self.kept + self.refused + self.surplus + self.entangled > 0
    }

    /// Whether anything was written.
    pub fn changed(&self) -> bool {
        self.came_in + self.rewritten + self.taken_out + self.still_out + self.cleared > 0
    }
}

impl std::ops::AddAssign for Rejudged {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.came_in += other.came_in;
        self.rewritten += other.rewritten;
        self.taken_out += other.taken_out;
        self.still_out += other.still_out;
        self.kept += other.kept;
        self.refused += other.refused;
        self.conflicts += other.conflicts;
        self.surplus += other.surplus;
        self.cleared += other.cleared;
        self.entangled += other.entangled;
    }
}

impl Rejudged {
    /// The sum of two passes over the same rows.
    #[must_use]
    pub(crate) fn and_then(mut self, next: Self) -> Self {
        self += next;
        let Self { read, kept, refused, surplus, entangled, .. } = next;
        Self { read, kept, refused, surplus, entangled, ..self }
    }
}
