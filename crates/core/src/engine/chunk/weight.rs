//! What the rows of a chunk may weigh, and how many of them are read at once.

/// Rows of a page where nobody knows what they weigh.
const FIRST_PAGE: u64 = 256;
/// Rows of a page, at the least and at the most: heavy rows may stand behind light ones, and a page is read whole.
const LEAST_PAGE: u64 = 32;
const MOST_PAGE: u64 = 2_048;

/// What the rows of a chunk may weigh.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    /// Bytes, in all; `u64::MAX`: as many as there are.
    pub(crate) most: u64,
    /// Bytes of a row of this step, as far as it is known.
    pub(crate) a_row: Option<u64>,
}

impl Weight {
    pub(crate) const ANY: Self = Self { most: u64::MAX, a_row: None };

    /// How many rows may be read at once where `bytes` are read already.
    pub(crate) fn page(self, bytes: u64) -> u64 {
        match self.a_row {
            _ if self.most == u64::MAX => u64::MAX,
            None => FIRST_PAGE,
            Some(a_row) => (self.most.saturating_sub(bytes) / a_row.max(1)).clamp(LEAST_PAGE, MOST_PAGE),
        }
    }
}
