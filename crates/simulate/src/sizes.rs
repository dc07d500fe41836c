//! How many rows each table has, and which ids they get.

use crate::chance::Chance;

/// The sample's rows; all others grow in proportion to it.
const SAMPLE: u64 = 69_981;
/// Fewer would not hold one of everything.
pub(crate) const SMALLEST: u64 = 1_000;

/// Rows of each legacy table.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    pub(crate) users: u64,
    pub(crate) brands: u64,
    pub(crate) projects: u64,
    pub(crate) plantations: u64,
    pub(crate) transactions: u64,
    pub(crate) subscriptions: u64,
    pub(crate) invoices: u64,
    pub(crate) transfers: u64,
    pub(crate) charges: u64,
    pub(crate) credits: u64,
}

impl Sizes {
    /// Tables of `rows` rows in all, as near to the sample's proportions as they come. Brands grow with the square root, projects
    /// with the fourth.
    pub(crate) fn of(rows: u64) -> Self {
        let share = |of_sample: u64| {
            u64::try_from(u128::from(rows) * u128::from(of_sample) / u128::from(SAMPLE)).unwrap_or(u64::MAX).max(3)
        };
        // In millionths, so that the root is of a whole number.
        let root = (u128::from(rows) * 1_000_000_000_000 / u128::from(SAMPLE)).isqrt();
        let brands = u64::try_from(35 * root / 1_000_000).unwrap_or(0).max(5);
        let projects = u64::try_from(16 * (root * 1_000_000).isqrt() / 1_000_000).unwrap_or(0).max(8);
        let mut sizes = Self {
            users: share(6_300),
            brands,
            projects,
            plantations: 0,
            transactions: share(23_100),
            subscriptions: share(1_750),
            invoices: share(420),
            transfers: share(700),
            charges: share(560),
            credits: share(7_700),
        };
        sizes.plantations = rows.saturating_sub(sizes.all());
        sizes
    }

    pub(crate) fn all(&self) -> u64 {
        self.users
            + self.brands
            + self.projects
            + self.plantations
            + self.transactions
            + self.subscriptions
            + self.invoices
            + self.transfers
            + self.charges
            + self.credits
    }
}

/// The ids of a table: they ascend, and one of every block was never given, or is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    first: u64,
    /// Rows between gaps; 0 for none.
    block: u64,
    chance: Chance,
}

impl Ids {
    pub(crate) fn new(first: u64, block: u64, chance: Chance) -> Self {
        Self { first, block, chance }
    }

    pub(crate) fn of(&self, row: u64) -> u64 {
        if self.block == 0 {
            return self.first + row;
        }
        let (block, place) = (row / self.block, row % self.block);
        self.first + row + block + u64::from(place >= self.gap(block))
    }

    /// The id in the gap of a block: no row has it.
    pub(crate) fn missing(&self, block: u64) -> u64 {
        match self.block {
            0 => self.first.saturating_sub(1 + block),
            size => self.first + block * (size + 1) + self.gap(block),
        }
    }

    fn gap(&self, block: u64) -> u64 {
        self.chance.number("gap", block) % self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_as_large_as_the_sample() {
        let sizes = Sizes::of(SAMPLE);
        assert_eq!((sizes.users, sizes.brands, sizes.projects, sizes.plantations), (6_300, 35, 16, 29_400));
        for rows in [SMALLEST, 20_000, 7_000_000, 70_000_000] {
            assert_eq!(Sizes::of(rows).all(), rows);
        }
        assert_eq!((Sizes::of(70_000_000).brands, Sizes::of(70_000_000).projects), (1_106, 89));
    }

    #[test]
    fn ids_ascend_with_gaps() {
        let ids = Ids::new(101, 80, Chance::of(1, "user"));
        let given: Vec<u64> = (0..1_000).map(|row| ids.of(row)).collect();
        assert!(given.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((0..12).all(|block| !given.contains(&ids.missing(block)) && ids.missing(block) < given[999]));
        assert!((given[0], given[999]) >= (101, 1_110));
    }
}
