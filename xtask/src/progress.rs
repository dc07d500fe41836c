//! A run as it is watched: a bar per step on a terminal, a log line every few seconds without one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::ProgressStyle;
use replant_core::{Counts, Event, Reporter};
use tracing::{Span, error, info, warn};
use tracing_indicatif::span_ext::IndicatifSpanExt;

use crate::output::grouped;
use crate::telemetry::{BAR, shows_bars};

/// How often a line is written where there are no bars.
const EVERY: Duration = Duration::from_secs(5);

/// Watches a run.
pub(crate) struct Progress {
    bars: bool,
    /// The command that goes on with the run.
    again: String,
    current: Mutex<BTreeMap<&'static str, Current>>,
}

/// A step under way.
struct Current {
    step: &'static str,
    rows: u64,
    done_before: u64,
    counts: Counts,
    began: Instant,
    said: Instant,
    bar: Span,
}

impl Progress {
    pub(crate) fn new(again: String) -> Self {
        Self { bars: shows_bars(), again, current: Mutex::default() }
    }

    fn begin(&self, step: &'static str, rows: u64, done: u64) {
        let bar = if self.bars { bar(step, rows, done) } else { Span::none() };
        let now = Instant::now();
        let current = Current { step, rows, done_before: done, counts: Counts::default(), began: now, said: now, bar };
        self.current().insert(step, current);
        if done > 0 {
            info!(step, "goes on: {} of {} rows were done before", grouped(done), grouped(rows));
        } else {
            info!(step, "moves {} rows", grouped(rows));
        }
    }

    fn advance(&self, step: &'static str, counts: Counts) {
        let mut current = self.current();
        let Some(current) = current.get_mut(step) else { return };
        current.counts += counts;
        if self.bars {
            current.bar.pb_inc(counts.read);
            current.bar.pb_set_message(&current.pace());
        } else if current.said.elapsed() >= EVERY {
            current.said = Instant::now();
            let done = current.done_before + current.counts.read;
            info!(step = current.step, "{} of {} rows, {}", grouped(done), grouped(current.rows), current.pace());
        }
    }

    fn end(&self, step: &'static str) {
        self.current().remove(step);
    }

    fn current(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn pace(&self) -> String {
        let elapsed = self.began.elapsed();
        let Some(rate) = rate(self.counts.read, elapsed) else { return String::new() };
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

/// Rows a second; `None` where there is nothing to tell it from.
pub(crate) fn rate(rows: u64, elapsed: Duration) -> Option<u64> {
    let micros = u64::try_from(elapsed.as_micros()).ok().filter(|micros| *micros > 0)?;
    (rows > 0).then(|| rows.saturating_mul(1_000_000) / micros)
}

/// A time as it is said: `42 s`, `3 min`, `2 h 05 min`.
fn lasting(seconds: u64) -> String {
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
            Event::ChunkDone { step, counts, refused } => {
                tracing::debug!(step, rows = counts.read, refused, "a chunk is done");
                self.advance(step, *counts);
            }
            Event::Throttled { step, reason } => warn!(step, "waits: {reason}"),
            Event::Retrying { step, reason, wait } => warn!(step, "tries again in {} ms: {reason}", wait.as_millis()),
            Event::Cut { step, reason } => warn!(step, "cuts a chunk in half: {reason}"),
            Event::LeaseLost { step } => warn!(step, "lost a chunk to another worker; nothing of it was written here"),
            Event::StepDone { step, counts, elapsed } => {
                self.end(step);
                let pace = rate(counts.read, *elapsed).unwrap_or_default();
                let took = if elapsed.as_secs() == 0 {
                    format!("{} ms", elapsed.as_millis())
                } else {
                    lasting(elapsed.as_secs())
                };
                info!(step, "done: {} rows in {took}, {} rows/s", grouped(counts.read), grouped(pace));
            }
            Event::ChunkRejudged { step, done } => {
                tracing::debug!(step, rows = done.read, came_in = done.came_in, "a chunk was judged again");
                self.advance(step, Counts { read: done.read, ..Counts::default() });
            }
            Event::StepRejudged { step, done, elapsed } => {
                self.end(step);
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
                self.end(step);
                info!(step, "stopped; to go on: {}", self.again);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_rows_by_time() {
        assert_eq!(rate(500, Duration::from_millis(250)), Some(2_000));
        assert_eq!(rate(0, Duration::from_secs(1)), None);
        assert_eq!(rate(5, Duration::ZERO), None);
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        assert_eq!(
            [5, 89, 90, 3599, 3600, 7500].map(lasting),
            ["5 s", "89 s", "2 min", "60 min", "1 h 00 min", "2 h 05 min"]
        );
    }
}
