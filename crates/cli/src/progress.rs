//! A run as it is watched: a bar per step on a terminal, a log line every few seconds without one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::ProgressStyle;
use replant_core::{Counts, Event, Reporter};
use tracing::{Span, error, info, warn};
use tracing_indicatif::span_ext::IndicatifSpanExt;

use crate::output::{grouped, rate};
use crate::telemetry::{self, BAR, shows_bars};

/// How often a line is written where there are no bars.
const EVERY: Duration = Duration::from_secs(5);

/// What is done with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// They are moved.
    Moving,
    /// They are judged again.
    Judging,
}

/// Watches a run.
pub(crate) struct Progress {
    bars: bool,
    doing: Doing,
    /// The command that goes on with the run.
    again: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: BTreeMap<&'static str, Current>,
    all: All,
    /// Rows that steps moved here, and how long that took without what came before and after.
    moved: BTreeMap<&'static str, (u64, Duration)>,
}

/// A step under way.
struct Current {
    step: &'static str,
    rows: u64,
    done_before: u64,
    counts: Counts,
    began: Instant,
    last: Instant,
    said: Instant,
    bar: Span,
}

/// The whole run.
struct All {
    /// Rows, and those done by earlier runs, of the steps that are planned so far.
    planned: BTreeMap<&'static str, (u64, u64)>,
    /// Steps of the run.
    of: usize,
    /// Rows that are done by now, whoever did them.
    done: BTreeMap<&'static str, u64>,
    began: Option<Instant>,
    said: Instant,
    bar: Span,
}

impl Default for All {
    fn default() -> Self {
        let (planned, done) = (BTreeMap::new(), BTreeMap::new());
        Self { planned, of: 0, done, began: None, said: Instant::now(), bar: Span::none() }
    }
}

impl All {
    fn rows(&self) -> u64 {
        self.planned.values().map(|(rows, _)| rows).sum()
    }

    fn done(&self) -> u64 {
        self.planned.iter().map(|(step, (_, before))| self.done.get(step).unwrap_or(before)).sum()
    }

    /// `42.3%, 28,300 rows/s, 31 s left`; how much there is in all is known once every step is planned.
    fn pace(&self) -> String {
        let (rows, done) = (self.rows(), self.done());
        let before: u64 = self.planned.values().map(|(_, before)| before).sum();
        let rate = self.began.and_then(|began| rate(done.saturating_sub(before), began.elapsed()));
        let pace = rate.map(|rate| format!(", {} rows/s", grouped(rate))).unwrap_or_default();
        if self.planned.len() < self.of {
            return format!("{} rows{pace}", grouped(done));
        }
        let left = rate.map(|rate| format!(", {} left", lasting(rows.saturating_sub(done) / rate.max(1))));
        format!("{}{pace}{}", percent(done, rows), left.unwrap_or_default())
    }
}

impl Progress {
    pub(crate) fn new(again: String) -> Self {
        Self { bars: shows_bars(), doing: Doing::Moving, again, state: Mutex::default() }
    }

    /// Watches a replay.
    pub(crate) fn of_replay(again: String) -> Self {
        Self { doing: Doing::Judging, ..Self::new(again) }
    }

    /// How fast a step moved rows here: what it waited for before the first and after the last of them is left out. None
    /// where it moved none.
    pub(crate) fn pace_of(&self, step: &str) -> Option<u64> {
        let state = self.state();
        let (rows, took) = state.moved.get(step)?;
        rate(*rows, *took)
    }

    fn planned(&self, step: &'static str, of: usize, rows: u64, done: u64) {
        let mut state = self.state();
        let all = &mut state.all;
        all.of = of;
        all.planned.insert(step, (rows, done));
        if self.bars && all.planned.len() == 1 {
            all.bar = bar("all", rows, done);
        }
        if self.bars {
            all.bar.pb_set_length(all.rows());
            all.bar.pb_set_position(all.done());
        }
    }

    fn begin(&self, step: &'static str, rows: u64, done: u64) {
        let bar = if self.bars { bar(step, rows, done) } else { Span::none() };
        let now = Instant::now();
        let counts = Counts::default();
        let current = Current { step, rows, done_before: done, counts, began: now, last: now, said: now, bar };
        let mut state = self.state();
        state.current.insert(step, current);
        state.all.began.get_or_insert(now);
        state.all.done.insert(step, done);
        drop(state);
        match self.doing {
            Doing::Moving if done > 0 => {
                info!(step, "goes on: {} of {} rows were done before", grouped(done), grouped(rows));
            }
            Doing::Moving => info!(step, "moves {} rows", grouped(rows)),
            Doing::Judging => info!(step, "judges {} rows again", grouped(rows)),
        }
    }

    fn advance(&self, step: &'static str, counts: Counts) {
        let mut state = self.state();
        let State { current, all, .. } = &mut *state;
        let Some(current) = current.get_mut(step) else { return };
        current.counts += counts;
        current.last = Instant::now();
        let done = current.done_before + current.counts.read;
        all.done.insert(step, done);
        if self.bars {
            current.bar.pb_inc(counts.read);
            current.bar.pb_set_message(&current.pace());
            all.bar.pb_set_position(all.done());
            all.bar.pb_set_message(&all.pace());
            return;
        }
        if current.said.elapsed() >= EVERY {
            current.said = Instant::now();
            info!(step = current.step, "{} of {} rows, {}", grouped(done), grouped(current.rows), current.pace());
        }
        if all.said.elapsed() >= EVERY && all.of > 1 {
            all.said = Instant::now();
            info!("all steps: {} of {} rows, {}", grouped(all.done()), grouped(all.rows()), all.pace());
        }
    }

    /// A step that is done is done in whole: others may have moved a part of it.
    fn end(&self, step: &'static str, is_done: bool) {
        let mut state = self.state();
        let State { current, all, moved } = &mut *state;
        if let Some(current) = current.remove(step) {
            moved.insert(step, (current.counts.read, current.last - current.began));
        }
        if is_done && let Some((rows, _)) = all.planned.get(step) {
            all.done.insert(step, *rows);
        }
        if self.bars {
            all.bar.pb_set_position(all.done());
            all.bar.pb_set_message(&all.pace());
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn pace(&self) -> String {
        let Some(rate) = rate(self.counts.read, self.last - self.began) else { return String::new() };
        let left = self.rows.saturating_sub(self.done_before + self.counts.read);
        format!("{} rows/s, {} left", grouped(rate), lasting(left / rate.max(1)))
    }
}

fn bar(step: &'static str, rows: u64, done: u64) -> Span {
    let bar = tracing::info_span!(target: BAR, "step");
    let style = ProgressStyle::with_template("{prefix}{msg:<34} {wide_bar} {human_pos}/{human_len}");
    let style = style.expect("the template of a bar is sound");
    bar.pb_set_style(&style.with_key("prefix", move |_: &_, to: &mut dyn std::fmt::Write| {
        let _ = write!(to, "{step}  ");
    }));
    bar.pb_set_length(rows);
    bar.pb_set_position(done);
    bar.pb_start();
    bar
}

/// A part of a whole: `42.3%`. All of nothing is all; what is not all is never said to be.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let permille = match whole {
        0 => 1000,
        _ => u64::try_from(u128::from(part) * 1000 / u128::from(whole)).unwrap_or(1000),
    };
    format!("{}.{}%", permille / 10, permille % 10)
}

/// A time as it is said: `42 s`, `3 min`, `2 h 05 min`.
pub(crate) fn lasting(seconds: u64) -> String {
    match seconds {
        0..90 => format!("{seconds} s"),
        90..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

impl Reporter for Progress {
    fn event(&self, event: &Event) {
        match event {
            Event::Noted { finding } => warn!("{}: {}", finding.side, finding.what),
            Event::Began { run } => {
                telemetry::set_run(run);
                info!("this run is {run}");
            }
            Event::Planned { step, of, rows, done } => self.planned(step, *of, *rows, *done),
            Event::Reaped { chunks } => warn!("a run before this one was killed: its {chunks} chunks are free again"),
            Event::StepAlreadyDone { step } => info!(step, "done by an earlier run"),
            Event::Planning { step } => info!(step, "reads the legacy keys and plans its chunks"),
            Event::Preparing { step } => info!(step, "prepares its lookups"),
            Event::Dropped { step, foreign_keys, indexes } => {
                info!(step, "loads without {foreign_keys} foreign keys and {indexes} indexes: the target is not live");
            }
            Event::Restoring { steps } => info!("builds foreign keys and indexes again: {}", steps.join(", ")),
            Event::Restored { built, elapsed } => {
                info!("{built} foreign keys and indexes are back and validated, in {} ms", elapsed.as_millis());
            }
            Event::Expelled { step, rows } => {
                warn!(step, "{rows} rows pointed to nothing: they are out again and quarantined");
            }
            Event::Intruder { session } => error!(
                "somebody else is connected to the target and may write, though it is said to be offline: {session}"
            ),
            Event::StepStarted { step, rows, done } => self.begin(step, *rows, *done),
            Event::ChunkDone { step, chunk, counts, refused } => {
                tracing::debug!(step, chunk, rows = counts.read, refused, "a chunk is done");
                self.advance(step, *counts);
            }
            Event::Looked { step, rows, changed } => {
                info!(step, "has judged {} rows: {} come out otherwise", grouped(*rows), grouped(*changed));
            }
            Event::Verified { step, rows, equal } => {
                info!(step, "has verified {} rows: {} stand as they should", grouped(*rows), grouped(*equal));
            }
            Event::Undone { step, rows, kept } => {
                info!(step, "taken back: {} rows are gone, of {} something stays", grouped(*rows), grouped(*kept));
            }
            Event::SourceMoves { step, absent } => warn!(
                step,
                absent,
                "the legacy database changes while it is migrated: rows that were planned have gone, and are listed as gone_unread"
            ),
            Event::Throttled { step, reason } => warn!(step, "waits: {reason}"),
            Event::Retrying { step, reason, wait } => warn!(step, "tries again in {} ms: {reason}", wait.as_millis()),
            Event::Cut { step, reason } => warn!(step, "cuts a chunk in half: {reason}"),
            Event::LeaseLost { step } => warn!(step, "lost a chunk to another worker; nothing of it was written here"),
            Event::StepDone { step, counts, elapsed } => {
                self.end(step, true);
                let pace = self.pace_of(step).unwrap_or_default();
                let took = if elapsed.as_secs() == 0 {
                    format!("{} ms", elapsed.as_millis())
                } else {
                    lasting(elapsed.as_secs())
                };
                info!(step, "done: {} rows in {took}; {} rows/s while they moved", grouped(counts.read), grouped(pace));
            }
            Event::ChunkRejudged { step, chunk, done } => {
                tracing::debug!(step, chunk, rows = done.read, came_in = done.came_in, "a chunk was judged again");
                self.advance(step, Counts { read: done.read, ..Counts::default() });
            }
            Event::StepRejudged { step, done, elapsed } => {
                self.end(step, true);
                let pace = rate(done.read, *elapsed).unwrap_or_default();
                info!(
                    step,
                    "judged again: {} rows, {} came in, {} rows/s",
                    grouped(done.read),
                    done.came_in,
                    grouped(pace)
                );
            }
            Event::StepStopped { step } => {
                self.end(step, false);
                info!(step, "stopped; to go on: {}", self.again);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_said_in_percent() {
        let said = [(0, 10), (1, 3), (999_999, 1_000_000), (10, 10), (0, 0)].map(|(part, whole)| percent(part, whole));
        assert_eq!(said, ["0.0%", "33.3%", "99.9%", "100.0%", "100.0%"]);
    }

    fn counts(read: u64) -> Counts {
        Counts { read, ..Counts::default() }
    }

    #[test]
    fn the_whole_run_has_a_part_done_by_all_of_its_steps() {
        let progress = Progress::new("again".to_owned());
        progress.event(&Event::Planned { step: "a.a", of: 2, rows: 100, done: 100 });
        assert_eq!(progress.state().all.pace(), "100 rows");
        progress.event(&Event::Planned { step: "b.b", of: 2, rows: 300, done: 50 });
        assert_eq!(progress.state().all.pace(), "37.5%");
        progress.event(&Event::StepStarted { step: "b.b", rows: 300, done: 50 });
        progress.event(&Event::ChunkDone { step: "b.b", chunk: 1, counts: counts(50), refused: 0 });
        let pace = progress.state().all.pace();
        assert!(pace.starts_with("50.0%, ") && pace.ends_with(" left"), "{pace}");
        // Another process moved the rest.
        progress.event(&Event::StepDone { step: "b.b", counts: counts(50), elapsed: Duration::from_secs(60) });
        assert!(progress.state().all.pace().starts_with("100.0%"));
    }

    #[test]
    fn the_pace_of_a_step_is_that_of_its_rows() {
        let progress = Progress::new("again".to_owned());
        progress.event(&Event::StepStarted { step: "b.b", rows: 300, done: 0 });
        std::thread::sleep(Duration::from_millis(20));
        progress.event(&Event::ChunkDone { step: "b.b", chunk: 1, counts: counts(300), refused: 0 });
        // It waits for a lock.
        std::thread::sleep(Duration::from_millis(300));
        progress.event(&Event::StepDone { step: "b.b", counts: counts(300), elapsed: Duration::from_millis(320) });
        let pace = progress.pace_of("b.b").unwrap();
        assert!(pace > 300 * 1000 / 200, "{pace}");
        assert_eq!(progress.pace_of("a.a"), None);
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(
            [5, 89, 90, 3599, 3600, 7500].map(lasting),
            ["5 s", "89 s", "2 min", "60 min", "1 h 00 min", "2 h 05 min"]
        );
    }
}
