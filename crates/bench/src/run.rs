//! A whole measurement: what is measured when, and from which state.

use std::collections::{BTreeMap, BTreeSet};

use replant_core::{AnyStep, Registry, Stop};
use replant_testkit::Database;

use crate::error::BenchError;
use crate::finished::{self, Files, Finished, Outcome, Planned, StepWork};
use crate::measure::Measure;
use crate::pgloader;
use crate::plain_ways::{self, Commit, Mark};
use crate::psql::Psql;
use crate::reading;
use crate::replant::{FOREIGN_KEYS, LIVE, Part, Ran, Replant};
use crate::results::{Figures, Results, Way};
use crate::slice::Slice;
use crate::stage::{Source, Stage};

/// How many times the rows of (a) (b) moves.
const CACHED_SLICE: u64 = 10;

/// A measurement.
pub struct Bench<'a> {
    /// The steps.
    pub registry: &'a Registry,
    /// What is migrated.
    pub source: Source,
    /// What is measured. What another way needs is measured as well.
    pub ways: BTreeSet<Way>,
    /// Rounds.
    pub repeat: usize,
    /// Legacy rows a step for the naive ways.
    pub slice: u64,
    /// Connections that the limit writes on: as many as Replant.
    pub connections: usize,
    /// Connections that reading reads on: as many as Replant.
    pub readers: usize,
    /// Legacy rows of a chunk.
    pub chunk_rows: u64,
    /// Replant.
    pub replant: Replant,
    /// Another build of it.
    pub beside: Option<Replant>,
    /// What the code was built from.
    pub commit: Option<String>,
    /// Whether it is to end early.
    pub stop: &'a Stop,
    /// Is told what is done next.
    pub tell: &'a dyn Fn(&str),
}

/// What was measured, and the databases that it was measured on, as long as this lives.
pub struct Measured {
    /// The results.
    pub results: Results,
    /// The addresses of the databases that are still there, by what they hold.
    pub databases: BTreeMap<&'static str, String>,
    _round: Option<Round>,
    _stage: Stage,
}

/// What the first round leaves to those after it: rows, and files of them.
struct Round {
    finished: Finished,
    files: Option<Files>,
}

impl Bench<'_> {
    /// Starts the servers and measures.
    ///
    /// # Errors
    /// A server is missing, something that is measured fails, two ways that must write the same do not, or `stop` is
    /// raised.
    pub fn run(&self) -> Result<Measured, BenchError> {
        let psql = if self.wants(&[Way::Naive, Way::NaivePer1000, Way::Cached, Way::Limit]) {
            Some(Psql::find()?)
        } else {
            None
        };
        (self.tell)("starts MariaDB and PostgreSQL");
        let mut stage = Stage::set(self.source, self.registry, self.tell)?;
        self.go_on()?;
        let (machine, [postgres, mariadb]) = (stage.machine(), stage.settings()?);
        let (mut figures, mut first) = (Figures::default(), None);
        for _ in 0..self.repeat.max(1) {
            self.round(&mut stage, psql.as_ref(), &mut figures, &mut first)?;
        }
        let rows = |name: &str| stage.keys.get(name).map_or(0, replant_core::KeySet::len);
        let added = |work: &StepWork| {
            let added = work.added.iter().map(|(table, rows)| (stage.tables[*table].name.clone(), *rows));
            added.collect::<BTreeMap<_, _>>()
        };
        let steps = match &first {
            Some(Round { finished, .. }) => finished
                .steps
                .iter()
                .map(|work| figures.of_step(&work.planned.name, work.planned.rows, added(work)))
                .collect(),
            None => {
                let names = self.registry.steps().map(AnyStep::name);
                names.map(|name| figures.of_step(name, rows(name), BTreeMap::new())).collect()
            }
        };
        let ways = figures.of_whole();
        let replant = ways.get(&Way::Replant);
        let results = Results {
            rows: stage.keys.values().map(replant_core::KeySet::len).sum(),
            seed: self.source.seed(),
            repeat: self.repeat.max(1),
            slice: self.slice,
            connections: self.connections,
            readers: self.readers,
            commit: self.commit.clone(),
            machine,
            postgres,
            mariadb,
            ratios: figures.ratios(),
            rows_per_s: replant.map(|measure| measure.rows_per_s),
            peak_rss_mb: replant.and_then(|measure| measure.peak_rss_mb),
            ledger: figures.ledger.clone(),
            ways,
            steps,
        };
        let mut databases = BTreeMap::from([("legacy", &stage.legacy), ("platform before", &stage.template)]);
        databases.extend(first.as_ref().map(|round| ("platform after", &round.finished.database)));
        let databases = databases.into_iter().map(|(what, database)| (what, database.address().to_owned())).collect();
        Ok(Measured { results, databases, _round: first, _stage: stage })
    }

    fn wants(&self, ways: &[Way]) -> bool {
        ways.iter().any(|way| self.ways.contains(way))
    }

    fn round(
        &self,
        stage: &mut Stage,
        psql: Option<&Psql>,
        figures: &mut Figures,
        first: &mut Option<Round>,
    ) -> Result<(), BenchError> {
        if self.wants(&[Way::Pgloader]) && pgloader::is_installed() {
            (self.tell)(Way::Pgloader.about());
            figures.whole(Way::Pgloader, pgloader::copy(stage, self.connections, self.stop)?);
        }
        if self.wants(&[Way::Reading, Way::ReadingParallel]) {
            self.reading(stage, figures)?;
        }
        let written = [Way::Naive, Way::NaivePer1000, Way::Cached, Way::Limit, Way::Replant, Way::ReplantSteps];
        let further = [Way::ReplantOffline, Way::ReplantByRow, Way::CatchUp, Way::Verify, Way::Beside];
        if !self.wants(&written) && !self.wants(&further) {
            return Ok(());
        }
        let (order, live) = self.whole(stage, figures, Way::Replant)?;
        if self.wants(&[Way::Beside]) {
            self.whole(stage, figures, Way::Beside)?;
        }
        if self.wants(&[Way::ReplantByRow, Way::CatchUp, Way::Verify]) {
            let (_, by_row) = self.whole(stage, figures, Way::ReplantByRow)?;
            live.same_as(stage, "the platform whose foreign keys were checked by row", &by_row)?;
        }
        if self.wants(&[Way::ReplantOffline]) {
            let (_, offline) = self.whole(stage, figures, Way::ReplantOffline)?;
            live.same_as(stage, "the platform that was loaded offline", &offline)?;
        }
        if !self.wants(&written) {
            return Ok(());
        }
        (self.tell)("Replant, a process a step");
        let (measures, finished) = finished::step_by_step(stage, &self.replant, self.registry, &order, self.stop)?;
        finished::same_rows(stage, "the platform that was migrated step by step", &finished.rows, live.rows())?;
        figures.steps(Way::ReplantSteps, order.iter().map(|planned| planned.name.as_str()).zip(measures));
        // Ids may differ from round to round, so the rows of the first one are those of all.
        if first.is_none() {
            *first = Some(Round { finished, files: None });
        }
        let (Some(round), Some(psql)) = (first.as_mut(), psql) else { return Ok(()) };
        let files = match round.files.take() {
            Some(files) => files,
            None => {
                (self.tell)("writes the rows that Replant added into files");
                Files::write(stage, &round.finished, psql, self.connections)?
            }
        };
        if self.wants(&[Way::Limit]) {
            (self.tell)("the limit: plain \\copy");
            let (measures, whole) = finished::copy(stage, &round.finished, &files, psql, self.stop)?;
            for (work, measure) in round.finished.steps.iter().zip(measures) {
                figures.step(&work.planned.name, Way::Limit, measure);
            }
            figures.whole(Way::Limit, whole);
        }
        if self.wants(&[Way::Naive, Way::NaivePer1000, Way::Cached]) {
            self.plain_ways(stage, &round.finished, &files, psql, figures)?;
        }
        round.files = Some(files);
        Ok(())
    }

    /// All steps in one process. Returns the steps in their order, and what it came to.
    fn whole(&self, stage: &mut Stage, figures: &mut Figures, way: Way) -> Result<(Vec<Planned>, Outcome), BenchError> {
        (self.tell)(way.about());
        let database = stage.platform()?;
        let variables: &[_] = match way {
            Way::ReplantOffline => &[(LIVE, "false")],
            Way::ReplantByRow => &[(FOREIGN_KEYS, "by_row")],
            _ => &[],
        };
        let replant = self.beside.as_ref().filter(|_| way == Way::Beside).unwrap_or(&self.replant);
        stage.meter.settled()?;
        let Ran { measure, paces } = replant.run(stage, &database, Part { only: None, variables }, self.stop)?;
        figures.whole(way, measure);
        figures.ledger.insert(way, finished::ledger(&database)?);
        for (through, name) in [(Way::CatchUp, "catch-up"), (Way::Verify, "verify")] {
            if way == Way::ReplantByRow && self.wants(&[through]) {
                (self.tell)(through.about());
                stage.meter.settled()?;
                let measure = self.replant.through(stage, &database, (name, variables), self.stop)?;
                figures.whole(through, measure);
            }
        }
        for (step, pace) in paces {
            figures.paces.entry((step, way)).or_default().push(pace as f64);
        }
        Ok((finished::order(stage, &database)?, Outcome::of(stage, &database)?))
    }

    fn reading(&self, stage: &mut Stage, figures: &mut Figures) -> Result<(), BenchError> {
        for (way, connections) in [(Way::Reading, 1), (Way::ReadingParallel, self.readers)] {
            (self.tell)(way.about());
            let mut measures = Vec::new();
            for step in self.registry.steps() {
                self.go_on()?;
                measures.push((step.name(), reading::read(stage, step, self.chunk_rows, connections)?));
            }
            figures.steps(way, measures.into_iter());
        }
        Ok(())
    }

    /// The plain ways on slices, step by step, each into a platform that holds what the steps before it added.
    fn plain_ways(
        &self,
        stage: &mut Stage,
        finished: &Finished,
        files: &Files,
        psql: &Psql,
        figures: &mut Figures,
    ) -> Result<(), BenchError> {
        let database = stage.postgres.clone_of(&files.base)?;
        let mut measured: BTreeMap<Way, Vec<(&str, Measure)>> = BTreeMap::new();
        for work in &finished.steps {
            (self.tell)(&format!("{}: the plain ways", work.planned.name));
            let Some(step) = self.registry.steps().find(|step| step.name() == work.planned.name) else { continue };
            let slice = Slice::of(stage, finished, work, step, self.slice.saturating_mul(CACHED_SLICE))?;
            // Once for nothing, so that all ways find the same pages in memory and in the log.
            stage.meter.settled()?;
            self.plain_way(stage, &database, step, work, &slice, Way::Cached)?;
            for way in [Way::Naive, Way::NaivePer1000, Way::Cached] {
                self.go_on()?;
                if self.ways.contains(&way) {
                    let measure = self.plain_way(stage, &database, step, work, &slice, way)?;
                    measured.entry(way).or_default().push((&work.planned.name, measure));
                }
            }
            files.fill(stage, &database, work, psql)?;
        }
        measured.into_iter().for_each(|(way, steps)| figures.steps(way, steps.into_iter()));
        Ok(())
    }

    fn plain_way(
        &self,
        stage: &mut Stage,
        database: &Database,
        step: &dyn AnyStep,
        work: &StepWork,
        slice: &Slice,
        way: Way,
    ) -> Result<Measure, BenchError> {
        let mark = Mark::now(database)?;
        let measure = match way {
            Way::Naive => plain_ways::naive(stage, database, step, &slice.some(self.slice), Commit::EachStatement)?
                .scaled_to(work.planned.rows),
            Way::NaivePer1000 => plain_ways::naive(stage, database, step, &slice.some(self.slice), Commit::Per1000)?
                .scaled_to(work.planned.rows),
            _ => {
                let (loading, rows) = plain_ways::cached(stage, database, step, slice)?;
                let mut all = rows.scaled_to(work.planned.rows);
                all += &loading;
                all
            }
        };
        plain_ways::take_out(database, work.added.iter().map(|(table, _)| &stage.tables[*table]), mark)?;
        Ok(measure)
    }

    fn go_on(&self) -> Result<(), BenchError> {
        if self.stop.requested() { Err(BenchError::Stopped) } else { Ok(()) }
    }
}
