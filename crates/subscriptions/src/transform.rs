//! The rules of subscriptions.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use reference::{Amount, word};
use replant_clean::{self as clean, Fault, Snapshot};
use replant_core::prelude::*;

use crate::Lookups;
use crate::legacy::Subscription;
use crate::target::{Cycle, NewSubscription, Rows, Status};

/// The codes of subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Code {
    /// No user, or one that is not there.
    AccountMissing,
    /// A negative amount.
    AmountNotPositive,
    /// Neither monthly nor yearly.
    IntervalUnknown,
    /// No trees, or fewer.
    TreesNotPositive,
    /// No time of its start.
    StartedAtUnknown,
    /// A status that the rules do not know.
    StatusUnknown,
    /// Another row with its gateway reference stays.
    Duplicate,
    /// The platform has a subscription with its gateway reference.
    AlreadyNative,
    /// Said to go on, but with a time when it was cancelled.
    StatusContradiction,
    /// The time when it was cancelled is not its own.
    CancelledAtDerived,
    /// Another subscription of the account to the plan stays active.
    Superseded,
    /// Nobody has paid for it of late.
    Lapsed,
}

/// The plan of those that name none.
const STANDARD: &str = "standard";

/// What a subscription says, once every value is made right and before others are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    pub(crate) account_id: i64,
    pub(crate) plan: Cow<'a, str>,
    pub(crate) gateway_ref: Option<Cow<'a, str>>,
    pub(crate) status: Status,
    pub(crate) started_at: Timestamp,
    trees_per_cycle: i32,
    amount: Amount,
    cycle: Cycle,
    next_billing_at: Option<Timestamp>,
    /// When it was cancelled, where it was.
    cancelled_at: Option<Timestamp>,
    /// The status said otherwise.
    contradicted: bool,
    /// The time is that of the start.
    derived: bool,
}

impl<'a> Facts<'a> {
    /// Reads a row, or says the first code that applies: the parent, the value rules, the row's own. Notes nothing, so that
    /// the look ahead and the transform cannot disagree. `amount`: as it was read.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn read(
        row: &'a Subscription,
        users: &Standings,
        amount: Result<Amount, Refusal>,
        snapshot: Snapshot,
    ) -> Result<Self, Refusal> {
        let user = users.of(row.user_id.reference("user_id")?);
        Refusal::of_parents([&user])?;
        let amount = amount?;
        let Standing::Live(account_id) = user else {
            return Err(Refusal::quarantine(Code::AccountMissing, "the subscription's user is not there"));
        };
        if amount.money.minor < 0 {
            return Err(Refusal::quarantine(Code::AmountNotPositive, "the amount is negative"));
        }
        let cycle = cycle(row)?;
        let trees_per_cycle = trees_per_cycle(row, cycle)?;
        let started_at = known(&row.started_when, snapshot)
            .ok_or_else(|| Refusal::quarantine(Code::StartedAtUnknown, "when the subscription started is not known"))?;
        let said = status(row)?;
        let cancelled = known(&row.cancelled_when, snapshot);
        let contradicted = said != Status::Cancelled && cancelled.is_some();
        let status = if contradicted { Status::Cancelled } else { said };
        let derived = status == Status::Cancelled && cancelled.is_none_or(|at| at < started_at);
        let cancelled_at = (status == Status::Cancelled).then_some(if derived { Some(started_at) } else { cancelled });
        Ok(Self {
            account_id,
            plan: text(&row.plan, "plan")?.unwrap_or(Cow::Borrowed(STANDARD)),
            gateway_ref: text(&row.gateway_ref, "gateway_ref")?,
            status,
            started_at,
            trees_per_cycle,
            amount,
            cycle,
            next_billing_at: row.next_billing_when.good().and_then(|wall| reference::future_london(wall.0)),
            cancelled_at: cancelled_at.flatten(),
            contradicted,
            derived,
        })
    }

    /// Notes what it took to read the row.
    fn note(&self, row: &Subscription, draft: &mut Draft<Rows>) -> Result<(), Refusal> {
        for (cell, column) in [
            (&row.plan, "plan"),
            (&row.interval, "interval"),
            (&row.status, "status"),
            (&row.gateway_ref, "gateway_ref"),
        ] {
            reference::text(cell, column, row.id, draft)?;
        }
        if self.contradicted {
            became(row, Code::StatusContradiction, Status::Cancelled, draft);
        }
        if self.derived {
            let after = self.cancelled_at.map(|at| at.to_string());
            draft.repair(row.id, Code::CancelledAtDerived, "cancelled_when", stored(&row.cancelled_when), after);
        }
        Ok(())
    }
}

/// Judges a subscription: its own values, then those of others, then its payments.
pub(crate) fn subscription(lookups: &Lookups, row: &Subscription, draft: &mut Draft<Rows>) -> Result<i64, Refusal> {
    // The amount is counted whatever becomes of the row.
    let amount = row.price().take_amount(row.id, &lookups.currencies.0, draft);
    let facts = Facts::read(row, &lookups.users, amount, lookups.snapshot)?;
    lookups.conflicts.judge(row.id)?;
    let id = lookups.plan.id_of(row.id).ok_or_else(|| Refusal::unforeseen("the plan has no id for this key"))?;
    facts.note(row, draft)?;
    let (mut status, mut cancelled_at) = (facts.status, facts.cancelled_at);
    if let Some(since) = lookups.conflicts.superseded(row.id) {
        (status, cancelled_at) = (Status::Cancelled, Some(since));
        became(row, Code::Superseded, status, draft);
    }
    let paid = |from, to| lookups.transactions.succeeded_within(row.id, from, to);
    if status == Status::Active && lapsed(&facts, lookups.snapshot, paid) {
        status = Status::PastDue;
        became(row, Code::Lapsed, status, draft);
    }
    draft.write(NewSubscription {
        id,
        account_id: facts.account_id,
        plan: facts.plan.into_owned(),
        trees_per_cycle: facts.trees_per_cycle,
        amount_minor: facts.amount.money.minor,
        currency: facts.amount.money.currency.into(),
        cycle: facts.cycle.into(),
        status: status.into(),
        gateway_ref: facts.gateway_ref.map(Cow::into_owned),
        started_at: facts.started_at.into(),
        next_billing_at: facts.next_billing_at.map(Instant),
        cancelled_at: cancelled_at.map(Instant),
    });
    Ok(id)
}

/// Notes a status that is not the row's own.
fn became(row: &Subscription, code: Code, status: Status, draft: &mut Draft<Rows>) {
    let status: &str = status.into();
    draft.repair(row.id, code, "status", row.status.good().cloned(), status.to_owned());
}

/// Whether the next payment is long overdue, and nothing was paid in the last cycle. `paid`: whether something was, from
/// one time to another.
fn lapsed(facts: &Facts<'_>, snapshot: Snapshot, paid: impl Fn(Timestamp, Timestamp) -> bool) -> bool {
    let before = |days| days_before(snapshot.0, days);
    let cycle = match facts.cycle {
        Cycle::Month => 35,
        Cycle::Year => 370,
    };
    facts.next_billing_at.is_some_and(|due| due < before(35)) && !paid(before(cycle), snapshot.0)
}

fn days_before(at: Timestamp, days: i64) -> Timestamp {
    at.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN)
}

fn text<'a>(cell: &'a Cell<String>, column: &'static str) -> Result<Option<Cow<'a, str>>, Refusal> {
    Ok(cell.text(column)?.and_then(|raw| clean::text(raw).value))
}

fn cycle(row: &Subscription) -> Result<Cycle, Refusal> {
    match word(&row.interval, "interval")?.as_deref() {
        Some("monthly" | "month" | "1m" | "m") => Ok(Cycle::Month),
        Some("yearly" | "year" | "annual" | "12m" | "y") => Ok(Cycle::Year),
        _ => Err(Refusal::quarantine(Code::IntervalUnknown, "the interval is neither a month nor a year")),
    }
}

fn trees_per_cycle(row: &Subscription, cycle: Cycle) -> Result<i32, Refusal> {
    let monthly = row.trees_per_month.read("trees_per_month")?.copied().unwrap_or(0);
    if monthly <= 0 {
        return Err(Refusal::quarantine(Code::TreesNotPositive, "the subscription plants no trees"));
    }
    let months = match cycle {
        Cycle::Month => 1,
        Cycle::Year => 12,
    };
    let trees = monthly.checked_mul(months).and_then(|trees| i32::try_from(trees).ok());
    trees.ok_or_else(|| reference::faulty(Fault::ValueOutOfRange))
}

fn status(row: &Subscription) -> Result<Status, Refusal> {
    match word(&row.status, "status")?.as_deref() {
        Some("active" | "live") => Ok(Status::Active),
        Some("paused" | "hold") => Ok(Status::Paused),
        Some("past_due" | "unpaid") => Ok(Status::PastDue),
        Some("cancelled" | "canceled" | "ended" | "expired") => Ok(Status::Cancelled),
        _ => Err(Refusal::quarantine(Code::StatusUnknown, "the rules do not know the status")),
    }
}

fn known(cell: &Cell<Wall>, snapshot: Snapshot) -> Option<Timestamp> {
    cell.good().and_then(|wall| reference::known_london(wall.0, snapshot))
}

/// A wall time as it is stored, also where it can be none.
fn stored(cell: &Cell<Wall>) -> Option<String> {
    match cell {
        Cell::Good(wall) => Some(wall.0.to_string()),
        Cell::Null => None,
        Cell::Bad(unfit) => Some(unfit.raw.clone()),
    }
}
