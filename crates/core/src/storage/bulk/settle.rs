//! Writing a chunk's rows so that only the units to blame stay out.

use std::borrow::Cow;

use diesel::result::Error;
use roaring::RoaringBitmap;

use super::batch::UnitIndex;
use super::before::Before;
use super::pass::{Mode, Pass, Refused};
use super::rewritten::Rewritten;
use super::rows::Rows;
use super::tx::Tx;
use crate::storage::db::Db;
use crate::storage::failure::Failure;
use crate::words::Code;

/// How often the units that were refused beside one that has to be taken back get another chance.
const CHANCES: u32 = 8;

/// What is written: whose rows they are.
pub(crate) struct Writing<'a> {
    /// The step.
    pub(crate) step: &'a str,
    /// The chunk.
    pub(crate) chunk: i64,
    /// How many units the chunk has.
    pub(crate) units: UnitIndex,
    /// What was written before, where the chunk is judged again.
    pub(crate) before: Option<&'a Before>,
    /// Whether the foreign keys of a COPY are checked by sets where they can be.
    pub(crate) by_set: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The units that the target did not take.
    pub(crate) refused: Vec<Refused>,
    /// Whether foreign keys were checked by sets.
    pub(crate) by_set: bool,
    /// What became of rows that were written before.
    pub(crate) rewritten: Rewritten,
}

impl Settled {
    fn and(mut self, other: Self) -> Self {
        self.refused.extend(other.refused);
        self.rewritten.and(other.rewritten);
        self
    }
}

/// Why a pass came to nothing.
enum Undone {
    /// Some units were refused after they had written something: roll back and write the others again.
    Again {
        /// These units.
        dirty: Vec<Refused>,
        /// Units that were refused before they wrote anything: because of one of the first, it may be.
        clean: Vec<Refused>,
    },
    Failed(Error),
}

impl From<Error> for Undone {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Writes `rows` inside the open transaction of their chunk. First directly; if a constraint refuses something, through
/// the stage; if even that fails on a row (a change, not an insertion, is refused), by halves. Tells which units the
/// target did not take.
///
/// # Errors
/// Those for which no row is to blame.
pub(crate) fn settle<R: Rows>(db: &mut Db, to: &Writing<'_>, rows: &R) -> Result<Settled, Error> {
    let mut refused: Vec<Refused> = Vec::new();
    let mut mode = Mode::Direct;
    let mut rows = Cow::Borrowed(rows);
    let mut chances = 0..CHANCES;
    loop {
        match pass(db, to, mode, &*rows) {
            Ok(mut done) => {
                refused.append(&mut done.refused);
                return Ok(Settled { refused, ..done });
            }
            Err(Undone::Again { dirty, clean }) => {
                refused.extend(dirty);
                if chances.next().is_none() {
                    refused.extend(clean);
                }
                rows = Cow::Owned(without(&*rows, &refused));
            }
            Err(Undone::Failed(error)) => match Failure::of(&error) {
                failure if !(failure.blames_a_row() || failure.is_untold()) => return Err(error),
                // Through the stage the server tells what it was: a lock, say, and no row at all.
                _ if mode == Mode::Direct => mode = Mode::Staged,
                failure if failure.is_untold() => return Err(error),
                _ => {
                    let mut done = by_halves(db, to, (0, to.units), &*rows)?;
                    refused.append(&mut done.refused);
                    return Ok(Settled { refused, by_set: false, ..done });
                }
            },
        }
    }
}

/// The rows of the units that were not refused.
fn without<R: Rows>(rows: &R, refused: &[Refused]) -> R {
    let out: RoaringBitmap = refused.iter().map(|refused| refused.unit).collect();
    rows.only(&|unit| !out.contains(unit))
}

fn pass<R: Rows>(db: &mut Db, to: &Writing<'_>, mode: Mode, rows: &R) -> Result<Settled, Undone> {
    db.write(|db| {
        let mut pass = Pass::new(db, mode);
        pass.before = to.before;
        pass.by_set = to.by_set;
        let mut tx = Tx::new(pass, to.step, to.chunk);
        rows.write(&mut tx)?;
        if let Db::Pg(_) = tx.db() {
            // What a constraint would refuse at the commit is still one row's fault here.
            tx.execute("SET CONSTRAINTS ALL IMMEDIATE")?;
        }
        let Pass { refused, dirty, went_by_set: by_set, rewritten, .. } = tx.pass;
        if dirty.is_empty() {
            return Ok(Settled { refused, by_set, rewritten });
        }
        let (dirty, clean) = refused.into_iter().partition(|refused| dirty.contains(refused.unit));
        Err(Undone::Again { dirty, clean })
    })
}

/// Writes the units from..to, in halves where a row is refused, down to the unit that is to blame.
fn by_halves<R: Rows>(
    db: &mut Db,
    writing: &Writing<'_>,
    (from, to): (UnitIndex, UnitIndex),
    rows: &R,
) -> Result<Settled, Error> {
    let half = rows.only(&|unit| (from..to).contains(&unit));
    match pass(db, writing, Mode::Staged, &half) {
        Ok(done) => Ok(done),
        Err(Undone::Again { dirty, clean }) => {
            let all = [dirty, clean].concat();
            let kept = without(&half, &all);
            by_halves(db, writing, (from, to), &kept)
                .map(|done| done.and(Settled { refused: all, ..Settled::default() }))
        }
        Err(Undone::Failed(error)) => match Failure::of(&error) {
            failure if !failure.blames_a_row() => Err(error),
            failure if to - from <= 1 => {
                let refused = Refused { unit: from, code: Code::CONSTRAINT_VIOLATED, reason: failure.reason() };
                Ok(Settled { refused: vec![refused], ..Settled::default() })
            }
            _ => {
                let middle = from + (to - from) / 2;
                let half = by_halves(db, writing, (from, middle), rows)?;
                Ok(half.and(by_halves(db, writing, (middle, to), rows)?))
            }
        },
    }
}
