//! What was measured, in all and by step, and how the ways compare.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measure::Measure;
use crate::usage::Machine;

/// A way of moving the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A row at a time, each statement committed by itself.
    Naive,
    /// A row at a time, a commit per 1,000 legacy rows.
    #[serde(rename = "naive_per_1000")]
    NaivePer1000,
    /// Cached lookups and multi-row INSERTs.
    Cached,
    /// Replant, all steps in one process.
    Replant,
    /// The same, with foreign keys checked by row.
    ReplantByRow,
    /// After that, a catch-up with a state that brings nothing new, with foreign keys checked by row.
    CatchUp,
    /// After that, a verification of every row.
    Verify,
    /// Another build of Replant, all steps in one process.
    Beside,
    /// Replant, each step in a process of its own.
    ReplantSteps,
    /// Replant, all steps in one process, into a platform that is not live.
    ReplantOffline,
    /// The rows that Replant added, by plain `\copy`.
    Limit,
    /// The legacy tables as they are, by pgloader.
    Pgloader,
    /// The legacy tables read on one connection, and nothing written.
    Reading,
    /// The same on as many connections as Replant has readers.
    ReadingParallel,
}

impl Way {
    /// Every way, in the order in which they are told.
    pub const ALL: [Self; 14] = [
        Self::Naive,
        Self::NaivePer1000,
        Self::Cached,
        Self::Replant,
        Self::Beside,
        Self::ReplantByRow,
        Self::CatchUp,
        Self::Verify,
        Self::ReplantSteps,
        Self::ReplantOffline,
        Self::Limit,
        Self::Pgloader,
        Self::Reading,
        Self::ReadingParallel,
    ];

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Self::Naive => "a row at a time, autocommit",
            Self::NaivePer1000 => "a row at a time, a commit per 1,000",
            Self::Cached => "cached lookups, multi-row INSERTs",
            Self::Replant => "Replant",
            Self::ReplantByRow => "Replant, foreign keys by row",
            Self::CatchUp => "Replant, a catch-up with nothing new",
            Self::Verify => "Replant, a verification of every row",
            Self::Beside => "another build of Replant",
            Self::ReplantSteps => "Replant, a process a step",
            Self::ReplantOffline => "Replant, offline",
            Self::Limit => "the limit: plain \\copy",
            Self::Pgloader => "pgloader, a bare copy, tuned",
            Self::Reading => "reading alone, one connection",
            Self::ReadingParallel => "reading alone, as many as Replant",
        }
    }

    /// Its letter in the documentation.
    pub fn letter(self) -> char {
        match self {
            Self::Naive | Self::NaivePer1000 => 'a',
            Self::Cached => 'b',
            Self::Replant | Self::ReplantByRow | Self::ReplantSteps | Self::ReplantOffline => 'c',
            Self::CatchUp | Self::Verify | Self::Beside => 'c',
            Self::Limit => 'd',
            Self::Reading | Self::ReadingParallel => 'e',
            Self::Pgloader => 'f',
        }
    }
}

/// How many times as fast Replant is. None where one of the two was not measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ratios {
    /// As a row at a time with autocommit.
    pub naive: Option<f64>,
    /// As a row at a time with a commit per 1,000.
    pub naive_per_1000: Option<f64>,
    /// As cached lookups and multi-row INSERTs.
    pub cached: Option<f64>,
    /// As plain `\copy`: 1 is the limit of the server.
    pub limit: Option<f64>,
    /// As Replant with foreign keys checked by row.
    pub by_row: Option<f64>,
    /// As another build of it.
    pub beside: Option<f64>,
    /// The time of a catch-up with nothing new by that of the migration with foreign keys checked by row.
    pub catch_up: Option<f64>,
    /// The time of a verification by the same.
    pub verify: Option<f64>,
    /// Replant offline as Replant live.
    pub offline: Option<f64>,
    /// Replant offline as a bare copy by pgloader.
    pub pgloader: Option<f64>,
}

impl Ratios {
    fn of(ways: &BTreeMap<Way, Measure>, replant: Way) -> Self {
        let pace = |way: Way| ways.get(&way).map(|measure| measure.rows_per_s).filter(|pace| *pace > 0.0);
        let ratio = |of: Way, to: Way| pace(of).zip(pace(to)).map(|(of, to)| of / to);
        Self {
            naive: ratio(replant, Way::Naive),
            naive_per_1000: ratio(replant, Way::NaivePer1000),
            cached: ratio(replant, Way::Cached),
            limit: ratio(replant, Way::Limit),
            by_row: ratio(replant, Way::ReplantByRow),
            beside: ratio(replant, Way::Beside),
            catch_up: ratio(Way::ReplantByRow, Way::CatchUp),
            verify: ratio(Way::ReplantByRow, Way::Verify),
            offline: ratio(Way::ReplantOffline, replant),
            pgloader: ratio(Way::ReplantOffline, Way::Pgloader),
        }
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepResult {
    /// Its name.
    pub step: String,
    /// Its legacy rows.
    pub rows: u64,
    /// Target rows that it added, by table.
    pub added: BTreeMap<String, u64>,
    /// Of Replant with a process for this step alone.
    pub ratios: Ratios,
    /// Legacy rows a second of the same.
    pub rows_per_s: Option<f64>,
    /// Peak memory of the same in MiB.
    pub peak_rss_mb: Option<f64>,
    /// Legacy rows a second of this step in the run of all steps, in Replant's own words. Others may run beside it.
    pub rows_per_s_in_run: Option<f64>,
    /// The same offline.
    pub rows_per_s_in_run_offline: Option<f64>,
    /// All figures.
    pub ways: BTreeMap<Way, Measure>,
}

/// Everything that was measured. Of several rounds, each figure is the median.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// Legacy rows.
    pub rows: u64,
    /// What they were made from; none: the sample.
    pub seed: Option<u64>,
    /// Rounds.
    pub repeat: usize,
    /// Legacy rows a step that (a) moved; (b) moved ten times as many.
    pub slice: u64,
    /// Connections that (d) wrote on.
    pub connections: usize,
    /// Connections that (e) read on.
    pub readers: usize,
    /// What the code was built from.
    pub commit: Option<String>,
    /// The machine.
    pub machine: Machine,
    /// Settings of PostgreSQL.
    pub postgres: BTreeMap<String, String>,
    /// Settings of MariaDB.
    pub mariadb: BTreeMap<String, String>,
    /// Of Replant with all steps in one process.
    pub ratios: Ratios,
    /// Legacy rows a second of the same.
    pub rows_per_s: Option<f64>,
    /// Peak memory of the same in MiB.
    pub peak_rss_mb: Option<f64>,
    /// Bytes of the ledger's tables after the whole migration, by way and table.
    pub ledger: BTreeMap<Way, BTreeMap<String, u64>>,
    /// All figures of the whole migration.
    pub ways: BTreeMap<Way, Measure>,
    /// By step, in their order.
    pub steps: Vec<StepResult>,
}

/// The figures of one round, or of all of them.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) whole: BTreeMap<Way, Vec<Measure>>,
    /// By step and way.
    pub(crate) steps: BTreeMap<(String, Way), Vec<Measure>>,
    /// Rows a second by step, in Replant's own words.
    pub(crate) paces: BTreeMap<(String, Way), Vec<f64>>,
    /// Bytes of the ledger's tables, of the last round.
    pub(crate) ledger: BTreeMap<Way, BTreeMap<String, u64>>,
}

impl Figures {
    /// Takes in a whole migration.
    pub(crate) fn whole(&mut self, way: Way, measure: Measure) {
        self.whole.entry(way).or_default().push(measure);
    }

    /// Takes in a step.
    pub(crate) fn step(&mut self, step: &str, way: Way, measure: Measure) {
        self.steps.entry((step.to_owned(), way)).or_default().push(measure);
    }

    /// Takes in steps, and their sum as the whole migration.
    pub(crate) fn steps<'a>(&mut self, way: Way, steps: impl Iterator<Item = (&'a str, Measure)>) {
        let mut whole = Measure::default();
        for (step, measure) in steps {
            whole += &measure;
            self.step(step, way, measure);
        }
        self.whole(way, whole);
    }

    /// The median of each figure of the whole migration.
    pub(crate) fn of_whole(&self) -> BTreeMap<Way, Measure> {
        self.whole.iter().map(|(way, rounds)| (*way, Measure::median(rounds))).collect()
    }

    /// The medians of a step.
    pub(crate) fn of_step(&self, name: &str, rows: u64, added: BTreeMap<String, u64>) -> StepResult {
        let own = self.steps.iter().filter(|((step, _), _)| step == name);
        let ways: BTreeMap<Way, Measure> = own.map(|((_, way), rounds)| (*way, Measure::median(rounds))).collect();
        let pace = |way: Way| {
            let mut rounds = self.paces.get(&(name.to_owned(), way))?.clone();
            rounds.sort_by(f64::total_cmp);
            rounds.get(rounds.len() / 2).copied()
        };
        let replant = ways.get(&Way::ReplantSteps);
        StepResult {
            step: name.to_owned(),
            rows,
            added,
            ratios: Ratios::of(&ways, Way::ReplantSteps),
            rows_per_s: replant.map(|measure| measure.rows_per_s),
            peak_rss_mb: replant.and_then(|measure| measure.peak_rss_mb),
            rows_per_s_in_run: pace(Way::Replant),
            rows_per_s_in_run_offline: pace(Way::ReplantOffline),
            ways,
        }
    }

    /// The ratios of the whole migration.
    pub(crate) fn ratios(&self) -> Ratios {
        Ratios::of(&self.of_whole(), Way::Replant)
    }
}
