//! The pipeline of a step: readers claim, read and judge chunks; writers commit them. The queue between is bounded.

use std::panic::resume_unwind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::BlockingRetryable;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::limits::{Limits, Share};
use crate::engine::chunk::{ChunkError, Committed, Packing, ReadyChunk, Weight};
use crate::engine::error::RunError;
use crate::engine::event::Event;
use crate::engine::run::Running;
use crate::engine::step::PreparedStep;
use crate::engine::stop::Stop;
use crate::policy::retry::{Action, action};
use crate::policy::sizing::{Measured, Sizing};
use crate::storage::failure::Failure;
use crate::storage::ledger::claim::{self, Claim, Next, Wish};
use crate::storage::ledger::plan::{Span, StepPlan};
use crate::storage::ledger::runs;
use crate::storage::pool::PoolError;
use crate::words::{Counts, KeyRange, KeySet};

/// How long a worker that found no free chunk waits before it looks again, unless one of this process ends sooner.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often the legacy database may be without an answer before the run ends.
const SILENCES: usize = 3;
/// How long others may hold the last chunks before they are looked after and the operator is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the pipelines of a run share.
pub(super) struct Line<'a> {
    pub(super) run: &'a Running<'a>,
    pub(super) step: &'static str,
    pub(super) prepared: &'a dyn PreparedStep,
    pub(super) plan: &'a StepPlan,
    /// The state of the legacy database whose keys are to be done.
    pub(super) layer: i64,
    /// Those of them that are to be done.
    pub(super) within: KeyRange,
    pub(super) sizing: Sizing,
    /// What the steps that run side by side share.
    pub(super) limits: &'a Limits,
    /// Set where another step of the run has failed.
    pub(super) halt: &'a Stop,
}

impl Line<'_> {
    /// The keys that the state added.
    fn keys(&self) -> &KeySet {
        self.plan.added(self.layer)
    }
}

/// A chunk on its way from a reader to a writer.
struct InFlight<'a> {
    claim: Claim,
    chunk: Box<dyn ReadyChunk>,
    /// How long it took to read and judge it.
    took: Duration,
    /// Its part of the memory.
    _bytes: Share<'a>,
}

#[derive(Default)]
struct State {
    counts: Counts,
    /// Rows of the next chunk.
    rows: u64,
    failed: Option<RunError>,
    /// Grows with every chunk that ends here, so that waiting readers look again.
    ended: u64,
    /// The chunks that are under way here.
    in_hand: Vec<i64>,
    /// Bytes that a row of the last chunk took.
    a_row_bytes: Option<u64>,
    /// How often the legacy database did not answer since it last did.
    silences: usize,
}

struct Shared<'a> {
    line: &'a Line<'a>,
    state: Mutex<State>,
    /// Held while a chunk is claimed: until it is in hand, the other readers would take it for one that was lost.
    claiming: Mutex<()>,
    changed: Condvar,
}

/// Runs a step's chunks until none is left, the run is asked to stop, or one fails for good. Returns what was done here,
/// and whether no chunk is left of the keys that are to be done. `rows` is the size of the first chunk.
pub(super) fn run(line: &Line<'_>, rows: u64) -> Result<(Counts, bool), RunError> {
    let state = Mutex::new(State { rows, ..State::default() });
    let shared = Shared { line, state, claiming: Mutex::default(), changed: Condvar::new() };
    let (send, receive) = bounded::<InFlight<'_>>(line.run.settings.queue);
    let mut finished = false;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..line.run.settings.readers)
            .map(|_| {
                let (shared, send) = (&shared, send.clone());
                scope.spawn(move || {
                    let _seen = Seen(shared);
                    shared.reader(&send)
                })
            })
            .collect();
        drop(send);
        for _ in 0..line.run.writers() {
            let (shared, receive) = (&shared, receive.clone());
            scope.spawn(move || {
                let _seen = Seen(shared);
                shared.writer(&receive);
            });
        }
        drop(receive);
        // A worker that panicked shows a defect: the scope passes it on.
        finished = readers.into_iter().all(|reader| reader.join().unwrap_or_else(|defect| resume_unwind(defect)));
    });
    let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failed {
        Some(error) => Err(error),
        None => Ok((state.counts, finished)),
    }
}

/// Lets the other workers of a pipeline see that one of them panicked: whoever waits for its chunk would wait for ever.
struct Seen<'a>(&'a Shared<'a>);

impl Drop for Seen<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let step = self.0.line.step;
            self.0.fail(RunError::Chunk { step, lo: 0, hi: 0, source: ChunkError::Panicked });
        }
    }
}

impl Shared<'_> {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn halted(&self) -> bool {
        self.line.run.stop.requested() || self.line.halt.requested() || self.state().failed.is_some()
    }

    fn fail(&self, error: RunError) {
        self.state().failed.get_or_insert(error);
        self.changed.notify_all();
    }

    fn ended(&self, claim: &Claim, counts: Option<Counts>) {
        let mut state = self.state();
        state.ended += 1;
        if let Some(place) = state.in_hand.iter().position(|chunk| *chunk == claim.chunk) {
            state.in_hand.swap_remove(place);
        }
        if let Some(counts) = counts {
            state.counts += counts;
        }
        drop(state);
        self.changed.notify_all();
    }

    fn report(&self, event: Event) {
        self.line.run.reporter.event(&event);
    }

    /// Claims, reads and judges chunks. `true` once the step has none left.
    fn reader<'a>(&'a self, send: &Sender<InFlight<'a>>) -> bool {
        let mut waiting_since: Option<Instant> = None;
        while !self.halted() {
            let reading = self.line.limits.readers.take(1);
            if self.halted() {
                break;
            }
            let seen = self.state().ended;
            match self.next() {
                Err(error) => {
                    self.fail(error);
                    return false;
                }
                Ok(Next::Done) => return true,
                Ok(Next::Held { chunks, owner }) => {
                    drop(reading);
                    self.wait(seen, chunks, &owner, &mut waiting_since);
                }
                Ok(Next::Chunk(mut claim)) => {
                    waiting_since = None;
                    // Rows are in memory before they are judged.
                    let mut share = self.line.limits.bytes.take(self.expected_bytes(&claim));
                    let started = Instant::now();
                    match guarded(|| self.read(&mut claim)) {
                        Ok(chunk) => {
                            let took = started.elapsed();
                            drop(reading);
                            share.becomes(chunk.bytes());
                            if send.send(InFlight { claim, chunk, took, _bytes: share }).is_err() {
                                return false;
                            }
                        }
                        // Another worker, of another machine, may have a server that answers.
                        Err(ChunkError::Pool(silent @ PoolError::Silent { .. })) if self.may_be_silent() => {
                            let reason = silent.to_string();
                            self.report(Event::Retrying {
                                step: self.line.step,
                                reason: reason.clone(),
                                wait: LOOK_AGAIN,
                            });
                            self.release(&claim, &reason);
                            std::thread::sleep(LOOK_AGAIN);
                        }
                        Err(error) => self.give_up(&claim, error),
                    }
                }
            }
        }
        false
    }

    /// About how many bytes of memory a chunk will take, by the last one.
    fn expected_bytes(&self, claim: &Claim) -> u64 {
        let most = self.line.sizing.bytes;
        match self.state().a_row_bytes {
            Some(a_row) => (self.line.keys().count(claim.range) * a_row).min(most),
            None if most == u64::MAX => 0,
            None => most,
        }
    }

    /// Whether the legacy database may be without an answer once more.
    fn may_be_silent(&self) -> bool {
        let mut state = self.state();
        state.silences += 1;
        // One silence is met by every reader.
        state.silences < SILENCES * self.line.run.settings.readers
    }

    fn next(&self) -> Result<Next, RunError> {
        let line = self.line;
        self.retried(|| {
            let mut target = line.run.databases.target.get()?;
            let _one_at_a_time = self.claiming.lock().unwrap_or_else(PoisonError::into_inner);
            let (in_hand, rows) = {
                let state = self.state();
                (state.in_hand.clone(), state.rows)
            };
            let wish = Wish {
                step: line.step,
                keys: line.keys(),
                layer: line.layer,
                within: line.within,
                rows,
                in_hand: &in_hand,
                lease: line.run.settings.lease,
            };
            let next = claim::next(&mut target, line.run.owner, wish).map_err(ChunkError::from)?;
            if let Next::Chunk(claim) = &next {
                self.state().in_hand.push(claim.chunk);
            }
            Ok(next)
        })
        .map_err(|source| RunError::Chunk { step: line.step, lo: 0, hi: 0, source })
    }

    fn read(&self, claim: &mut Claim) -> Result<Box<dyn ReadyChunk>, ChunkError> {
        let line = self.line;
        let (range, weight) = (claim.range, Weight { most: line.sizing.bytes, a_row: self.state().a_row_bytes });
        let span = Span { layer: line.layer, range };
        let (rows, read) =
            self.retried(|| line.prepared.read(&line.run.databases.legacy, line.run.overlay(), span, weight))?;
        self.state().silences = 0;
        if read != range {
            let keys = line.keys();
            let held = self.retried(|| {
                let shorter = claim::shorten(
                    &mut *line.run.databases.target.get()?,
                    (line.step, line.layer),
                    line.run.owner,
                    claim,
                    keys,
                    read.hi,
                );
                shorter.map_err(ChunkError::from)
            })?;
            if !held {
                return Err(ChunkError::LeaseLost);
            }
        }
        rows.transform(Packing::AtOnce)
    }

    /// Waits until a chunk ends here, or for a while: the chunks of others may come free.
    fn wait(&self, seen: u64, chunks: u64, owner: &str, since: &mut Option<Instant>) {
        let held_by_another = owner != self.line.run.owner.as_str();
        if held_by_another && since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            *since = None;
            // A worker that was killed may have looked alive until its server noticed.
            let freed = self
                .line
                .run
                .databases
                .target
                .get()
                .ok()
                .and_then(|mut target| runs::reap(&mut target, self.line.run.owner).ok())
                .unwrap_or(0);
            if freed > 0 {
                self.report(Event::Reaped { chunks: freed });
                return;
            }
            let reason =
                format!("{chunks} chunks are held by {owner}; they come free when it ends or its lease runs out");
            self.report(Event::Throttled { step: self.line.step, reason });
        }
        let state = self.state();
        let nothing_new = |state: &mut State| state.ended == seen && state.failed.is_none();
        drop(self.changed.wait_timeout_while(state, LOOK_AGAIN, nothing_new));
    }

    fn writer(&self, receive: &Receiver<InFlight<'_>>) {
        for judged in receive {
            if self.state().failed.is_some() {
                self.release(&judged.claim, "the run failed at another chunk");
                continue;
            }
            let writing = self.line.limits.writers.take(1);
            let committed = guarded(|| self.commit(&judged));
            drop(writing);
            match committed {
                Ok(Some((done, took))) => {
                    let Committed { counts, refused, absent } = done;
                    if absent > 0 {
                        self.report(Event::SourceMoves { step: self.line.step, absent });
                    }
                    self.learn(Measured { rows: counts.read, took, bytes: judged.chunk.bytes() });
                    self.report(Event::ChunkDone { step: self.line.step, chunk: judged.claim.chunk, counts, refused });
                    self.ended(&judged.claim, Some(counts));
                }
                Ok(None) => self.ended(&judged.claim, None),
                Err(error) => self.give_up(&judged.claim, error),
            }
        }
    }

    /// Commits a chunk; `None` where it turned out to be committed already, its connection having been lost in between.
    /// Tells how long the chunk was in work, but not in the queue.
    fn commit(&self, judged: &InFlight<'_>) -> Result<Option<(Committed, Duration)>, ChunkError> {
        let line = self.line;
        let mut unsure = false;
        self.retried(|| {
            let mut target = line.run.databases.target.get()?;
            if unsure && claim::is_done(&mut target, &judged.claim).unwrap_or(false) {
                return Ok(None);
            }
            let began = Instant::now();
            let done = judged.chunk.commit(&mut target, line.run.writer(), &judged.claim, judged.took);
            unsure |= matches!(&done, Err(ChunkError::Database(Failure::Lost | Failure::Untold(_))));
            done.map(|done| Some((done, judged.took + began.elapsed())))
        })
    }

    /// Sizes the next chunk by the last one.
    fn learn(&self, done: Measured) {
        let mut state = self.state();
        state.a_row_bytes = done.bytes.checked_div(done.rows);
        let rows = self.line.sizing.next(state.rows, done);
        if rows != state.rows {
            tracing::debug!(step = self.line.step, rows, "chunks have another size");
        }
        state.rows = rows;
    }

    /// Does something, again after a wait while that may help.
    fn retried<T>(&self, mut work: impl FnMut() -> Result<T, ChunkError>) -> Result<T, ChunkError> {
        let may_pass = |error: &ChunkError| {
            error.failure().is_some_and(|failure| action(&failure, true) == Action::Again) && !self.halted()
        };
        let work = || {
            work().map_err(|mut error| {
                if error.failure().is_some_and(|failure| failure.is_untold())
                    && let Ok(mut target) = self.line.run.databases.target.dedicated()
                {
                    error.diagnose(&mut target);
                }
                error
            })
        };
        work.retry(self.line.run.settings.retries.backoff())
            .when(may_pass)
            .notify(|error, wait| {
                self.report(Event::Retrying { step: self.line.step, reason: error.to_string(), wait });
            })
            .call()
    }

    /// A chunk failed, and trying again did not help: cut it, or stop.
    fn give_up(&self, claim: &Claim, error: ChunkError) {
        let line = self.line;
        if matches!(error, ChunkError::LeaseLost) {
            self.report(Event::LeaseLost { step: line.step });
            self.ended(claim, None);
            return;
        }
        let reason = error.to_string();
        let cut =
            error.failure().is_some_and(|failure| action(&failure, false) == Action::Cut) && self.cut(claim, &reason);
        if cut {
            self.report(Event::Cut { step: line.step, reason });
            self.ended(claim, None);
            return;
        }
        self.release(claim, &reason);
        let (lo, hi) = (claim.range.lo, claim.range.hi);
        self.fail(RunError::Chunk { step: line.step, lo, hi, source: error });
    }

    fn cut(&self, claim: &Claim, reason: &str) -> bool {
        let line = self.line;
        let Ok(mut target) = line.run.databases.target.get() else { return false };
        claim::split(&mut target, (line.step, line.layer), line.run.owner, claim, line.keys(), reason).unwrap_or(false)
    }

    /// Gives a chunk back. Where even that fails, its lease runs out or its owner is found dead.
    fn release(&self, claim: &Claim, reason: &str) {
        let given = self
            .line
            .run
            .databases
            .target
            .get()
            .map(|mut target| claim::release(&mut target, self.line.run.owner, claim, reason));
        if !matches!(given, Ok(Ok(()))) {
            tracing::debug!(step = self.line.step, chunk = claim.chunk, "a chunk could not be given back");
        }
        self.ended(claim, None);
    }
}

/// A panic must not leave a chunk in nobody's hand: everybody would wait for it.
fn guarded<T>(work: impl FnOnce() -> Result<T, ChunkError>) -> Result<T, ChunkError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(ChunkError::Panicked))
}
