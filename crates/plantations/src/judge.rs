//! What becomes of one plantation by itself: asked for every row by the search for double posts, and again when it is written.

use std::sync::Arc;

use brands::BrandAccounts;
use jiff::Timestamp;
use reference::{Currencies, faulty, word};
use replant_clean::{Fault, Snapshot};
use replant_core::prelude::*;

use crate::cost::Cost;
use crate::legacy::Plantation;
use crate::target::{Kind, Status};

/// The codes of plantations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum PlantingCode {
    /// It was called off.
    Cancelled,
    /// A status that is none.
    StatusUnknown,
    /// Neither a user nor a brand with an account.
    AccountMissing,
    /// No project, or one that is not there.
    ProjectMissing,
    /// No trees.
    TreesNotPositive,
    /// No time at which it can have been planted.
    PlantedAtUnknown,
    /// A source that is none.
    SourceUnknown,
    /// It was posted before.
    Duplicate,
    /// It was planted when the row was created, as far as one can tell.
    PlantedAtDerived,
    /// A brand that is not there.
    BrandLinkBroken,
    /// A transaction that is no migrated payment.
    PaymentLinkBroken,
    /// A cost of less than nothing.
    CostDropped,
    /// An address that is none.
    RecipientEmailInvalid,
}

/// What every row is judged by.
pub(crate) struct Known {
    pub(crate) users: Arc<Standings>,
    pub(crate) brands: Arc<Standings>,
    pub(crate) brand_accounts: Arc<BrandAccounts>,
    pub(crate) projects: Arc<Standings>,
    pub(crate) currencies: Arc<Currencies>,
    pub(crate) snapshot: Snapshot,
}

/// A plantation that belongs on the platform, but for its doubles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planting {
    pub(crate) account_id: i64,
    /// As it is stored.
    pub(crate) user: Option<Key>,
    /// As it is stored.
    pub(crate) brand: Option<Key>,
    /// The platform's, where it is there.
    pub(crate) brand_id: Option<i64>,
    /// As it is stored.
    pub(crate) project: Option<Key>,
    /// The platform's.
    pub(crate) project_id: i64,
    /// As it is stored.
    pub(crate) payment: Option<Key>,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    pub(crate) trees: i32,
    pub(crate) planted: Planted,
    pub(crate) cost: Cost,
}

/// When it was planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// At the known time of `planted_when`.
    At(Timestamp),
    /// At that of `created_when`, because the other is unknown.
    Derived(Timestamp),
}

/// Judges a row without noting anything: the first code that applies, doubles aside. `cost` is what [`crate::cost::read`] said.
pub(crate) fn judge(known: &Known, row: &Plantation, cost: Result<Cost, Refusal>) -> Result<Planting, Refusal> {
    let user = row.user_id.reference("user_id")?;
    let brand = row.brand_id.reference("brand_id")?;
    let project = row.project_id.reference("project_id")?;
    let (of_user, of_brand, of_project) = (known.users.of(user), known.brands.of(brand), known.projects.of(project));
    Refusal::of_parents([&of_user, &of_brand, &of_project])?;
    let cost = cost?;
    let status = status(row)?;
    let account_id = live(&of_user).or_else(|| known.brand_accounts.of(brand)).ok_or_else(|| {
        Refusal::quarantine(PlantingCode::AccountMissing, "neither the user nor the brand is there to have an account")
    })?;
    let project_id = live(&of_project)
        .ok_or_else(|| Refusal::quarantine(PlantingCode::ProjectMissing, "the project is not there"))?;
    let trees = trees(row)?;
    let planted = planted(row, known.snapshot)?;
    let kind = kind(row)?;
    // A row with a cell that cannot be read is nobody's double.
    row.gift_email.text("gift_email")?;
    row.gift_message.text("gift_message")?;
    let payment = row.finance_transaction_id.reference("finance_transaction_id")?;
    let brand_id = live(&of_brand);
    Ok(Planting { account_id, user, brand, brand_id, project, project_id, payment, kind, status, trees, planted, cost })
}

/// The target row, of what is there.
pub(crate) fn live(standing: &Standing) -> Option<i64> {
    match standing {
        Standing::Live(id) => Some(*id),
        Standing::Skipped | Standing::Quarantined(_) | Standing::Missing => None,
    }
}

fn status(row: &Plantation) -> Result<Status, Refusal> {
    match word(&row.status, "status")?.as_deref() {
        Some("cancelled" | "void") => Err(Refusal::skip(PlantingCode::Cancelled)),
        Some("done" | "planted") => Ok(Status::Planted),
        Some("pending") => Ok(Status::Pending),
        Some(_) | None => Err(Refusal::quarantine(PlantingCode::StatusUnknown, "no status that the rules know")),
    }
}

fn trees(row: &Plantation) -> Result<i32, Refusal> {
    let trees = row.trees.read("trees")?.copied().filter(|trees| *trees > 0);
    let trees = trees.ok_or_else(|| Refusal::quarantine(PlantingCode::TreesNotPositive, "no trees were planted"))?;
    i32::try_from(trees).map_err(|_| faulty(Fault::ValueOutOfRange))
}

fn planted(row: &Plantation, snapshot: Snapshot) -> Result<Planted, Refusal> {
    // A zero date is no cell that cannot be read: it is an unknown time.
    let known = |cell: &Cell<Wall>| cell.good().and_then(|wall| reference::known_london(wall.0, snapshot));
    known(&row.planted_when).map(Planted::At).or_else(|| known(&row.created_when).map(Planted::Derived)).ok_or_else(
        || Refusal::quarantine(PlantingCode::PlantedAtUnknown, "neither time of the row can be when it was planted"),
    )
}

fn kind(row: &Plantation) -> Result<Kind, Refusal> {
    match word(&row.source, "source")?.as_deref() {
        None | Some("order" | "purchase") => Ok(Kind::Purchase),
        Some("gift") => Ok(Kind::Gift),
        Some("subscription" | "sub") => Ok(Kind::Subscription),
        Some("api") => Ok(Kind::Api),
        Some("cross charge" | "cross_charge" | "xc") => Ok(Kind::CrossCharge),
        Some(_) => Err(Refusal::quarantine(PlantingCode::SourceUnknown, "no source that the rules know")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plantation without faults.
    pub(crate) fn plain() -> Plantation {
        let good = |text: &str| Cell::Good(text.to_owned());
        Plantation {
            id: 7,
            user_id: Cell::Good(1),
            brand_id: Cell::Null,
            project_id: Cell::Good(5),
            trees: Cell::Good(1),
            source: good("order"),
            gift_email: Cell::Null,
            gift_message: Cell::Null,
            cost: Cell::Null,
            currency: Cell::Null,
            finance_transaction_id: Cell::Null,
            status: good("done"),
            planted_when: wall("2023-01-10 12:00:00"),
            created_when: Cell::Null,
        }
    }

    /// User 1 has account 101, project 5 is 105, and nobody else is there.
    pub(crate) fn known() -> Known {
        let users = Arc::new(Standings::from_rows([(1, Standing::Live(101))]));
        let rows = [("GBP", 2), ("JPY", 0), ("KWD", 3)];
        Known {
            brand_accounts: Arc::new(BrandAccounts::new(&Standings::default(), &users, [])),
            users,
            brands: Arc::new(Standings::default()),
            projects: Arc::new(Standings::from_rows([(5, Standing::Live(105))])),
            currencies: Arc::new(Currencies(replant_clean::Currencies::new(
                rows.map(|(code, exp)| (code.to_owned(), exp)),
            ))),
            snapshot: Snapshot("2024-03-20T23:40:00Z".parse().expect("a time")),
        }
    }

    fn wall(text: &str) -> Cell<Wall> {
        Cell::Good(Wall(text.parse().expect("a wall time")))
    }

    fn code<T: std::fmt::Debug>(judged: Result<T, Refusal>) -> &'static str {
        match judged.expect_err("a refusal") {
            Refusal::Skipped(code) | Refusal::Quarantined { code, .. } => code.as_str(),
        }
    }

    #[test]
    fn trees_are_a_positive_number_that_the_platform_can_hold() {
        let trees = |trees| super::trees(&Plantation { trees, ..plain() });
        assert_eq!(trees(Cell::Good(2_147_483_647)), Ok(i32::MAX));
        assert_eq!(code(trees(Cell::Good(2_147_483_648))), "value_out_of_range");
        assert_eq!(code(trees(Cell::Good(-3_000_000_000))), "trees_not_positive");
        let bad = Cell::bad("many", "no number");
        assert_eq!(code(trees(bad)), "unforeseen");
    }

    #[test]
    fn too_many_trees_come_right_after_too_few() {
        let judged = |row: &Plantation| code(judge(&known(), row, Ok(Cost::None)));
        let row = Plantation { trees: Cell::Good(3_000_000_000), planted_when: Cell::Null, ..plain() };
        assert_eq!(judged(&row), "value_out_of_range");
        assert_eq!(judged(&Plantation { project_id: Cell::Null, ..row }), "project_missing");
    }

    #[test]
    fn a_row_with_a_gift_that_cannot_be_read_is_nobodys_double() {
        let bad = || Cell::bad("\\xff", "not valid UTF-8");
        let judged = |row: &Plantation| judge(&known(), row, Ok(Cost::None));
        assert!(judged(&plain()).is_ok());
        assert_eq!(code(judged(&Plantation { gift_email: bad(), ..plain() })), "unforeseen");
        assert_eq!(code(judged(&Plantation { gift_message: bad(), ..plain() })), "unforeseen");
    }

    #[test]
    fn a_time_that_cannot_be_read_is_unknown() {
        let bad = || Cell::bad("0000-00-00 00:00:00", "no such day");
        let snapshot = known().snapshot;
        let at = |text: &str| text.parse().expect("a time");
        let row = Plantation { planted_when: bad(), created_when: wall("2023-07-10 12:00:00"), ..plain() };
        assert_eq!(planted(&row, snapshot), Ok(Planted::Derived(at("2023-07-10T11:00:00Z"))));
        assert_eq!(planted(&plain(), snapshot), Ok(Planted::At(at("2023-01-10T12:00:00Z"))));
        let row = Plantation { planted_when: bad(), created_when: bad(), ..plain() };
        assert_eq!(code(planted(&row, snapshot)), "planted_at_unknown");
    }

    #[test]
    fn a_word_that_cannot_be_read_is_unforeseen() {
        let bad = || Cell::bad("\\xff", "not valid UTF-8");
        assert_eq!(code(status(&Plantation { status: bad(), ..plain() })), "unforeseen");
        assert_eq!(code(kind(&Plantation { source: bad(), ..plain() })), "unforeseen");
    }
}
