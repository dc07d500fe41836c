//! The results as people read them.

#![allow(clippy::float_arithmetic, reason = "seconds, paces and sizes are no money")]

use std::collections::{BTreeMap, BTreeSet};

use replant_bench::{Measure, Ratios, Results, StepResult, Way};
use replant_cli::output::{grouped, render, table};

/// The whole report.
pub(crate) fn text(results: &Results) -> String {
    let mut parts = vec![heading(results), in_all(results)];
    if results.steps.iter().any(|step| !step.ways.is_empty()) {
        parts.push(format!("Legacy rows a second, by step\n\n{}", paces(results)));
    }
    if results.ratios != Ratios::default() {
        parts.push(format!("How many times as fast Replant is (c/a, c/b, c/d)\n\n{}", ratios(results)));
    }
    if !results.ledger.is_empty() {
        parts.push(format!("The ledger, bytes a legacy row\n\n{}", ledger(results)));
    }
    if [Way::ReplantSteps, Way::Limit].iter().any(|way| results.ways.contains_key(way)) {
        parts.push(format!("What it takes, by step\n\n{}", costs(results)));
    }
    parts.join("\n\n")
}

fn heading(results: &Results) -> String {
    let machine = &results.machine;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let settings = |settings: &std::collections::BTreeMap<String, String>| {
        let mut words: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        words.sort_unstable();
        words.join(" ")
    };
    let from = results.seed.map_or_else(|| "of the sample".to_owned(), |seed| format!("from seed {seed}"));
    format!(
        "{} legacy rows {from}, {} round(s), commit {}\n\
         {}, {} cores, {} MiB, kernel {}, {}, load before {}\n\
         PostgreSQL: {}\n\
         MariaDB: {}\n\
         {} connections write, {} read; (a) on {} rows of a step, (b) on {}, scaled up",
        grouped(results.rows),
        results.repeat,
        known(&results.commit),
        known(&machine.cpu),
        machine.cores.unwrap_or_default(),
        machine.memory_mb.map_or_else(|| "unknown".to_owned(), grouped),
        known(&machine.kernel),
        known(&machine.storage),
        machine.load_before.map_or_else(|| "unknown".to_owned(), |load| format!("{load:.1}")),
        settings(&results.postgres),
        settings(&results.mariadb),
        results.connections,
        results.readers,
        grouped(results.slice),
        grouped(results.slice * 10),
    )
}

fn in_all(results: &Results) -> String {
    let heads = [
        "",
        "way",
        "rows/s",
        "seconds",
        "own CPU s",
        "MariaDB CPU s",
        "PostgreSQL CPU s",
        "WAL MB",
        "syncs",
        "peak MB",
    ];
    let mut table = table(&heads);
    for way in Way::ALL {
        let Some(measure) = results.ways.get(&way) else { continue };
        let mut cells = vec![way.letter().to_string(), way.about().to_owned(), whole(measure.rows_per_s)];
        cells.push(tenths(Some(measure.seconds)));
        cells.extend(cpu(measure));
        cells.push(megabytes(measure.wal_bytes));
        cells.push(measure.wal_syncs.map_or_else(none, grouped));
        cells.push(measure.peak_rss_mb.map_or_else(none, whole));
        table.add_row(cells);
    }
    render(table, 2..heads.len())
}

fn paces(results: &Results) -> String {
    let ways: Vec<Way> = Way::ALL.into_iter().filter(|way| results.ways.contains_key(way)).collect();
    let name = |way: &Way| match way {
        Way::Naive => "a",
        Way::NaivePer1000 => "a per 1,000",
        Way::Cached => "b",
        Way::Replant => "c",
        Way::ReplantByRow => "c by row",
        Way::CatchUp => "c catch-up",
        Way::Verify => "c verify",
        Way::Beside => "c beside",
        Way::ReplantSteps => "c by step",
        Way::ReplantOffline => "c offline",
        Way::Limit => "d",
        Way::Pgloader => "f",
        Way::Reading => "e",
        Way::ReadingParallel => "e parallel",
    };
    let heads: Vec<&str> = ["step", "rows"].into_iter().chain(ways.iter().map(name)).collect();
    let mut table = table(&heads);
    for step in &results.steps {
        // In a run of all steps several of them run side by side: they have no pace of their own.
        let pace = |way: &Way| step.ways.get(way).map(|measure| measure.rows_per_s);
        let mut cells = vec![step.step.clone(), grouped(step.rows)];
        cells.extend(ways.iter().map(|way| pace(way).map_or_else(none, whole)));
        table.add_row(cells);
    }
    let mut cells = vec!["all".to_owned(), grouped(results.rows)];
    cells.extend(ways.iter().map(|way| whole(results.ways[way].rows_per_s)));
    table.add_row(cells);
    render(table, 1..heads.len())
}

fn ratios(results: &Results) -> String {
    let heads = [
        "step",
        "c/a",
        "c/a per 1,000",
        "c/b",
        "c/d",
        "c/by row",
        "c/beside",
        "catch-up/by row",
        "verify/by row",
        "offline/live",
        "offline/f",
    ];
    let mut table = table(&heads);
    let mut line = |name: &str, ratios: &Ratios| {
        let mut cells = vec![name.to_owned()];
        let all = [
            ratios.naive,
            ratios.naive_per_1000,
            ratios.cached,
            ratios.limit,
            ratios.by_row,
            ratios.beside,
            ratios.catch_up,
            ratios.verify,
            ratios.offline,
            ratios.pgloader,
        ];
        cells.extend(all.map(|ratio| ratio.map_or_else(none, |ratio| format!("{ratio:.2}"))));
        table.add_row(cells);
    };
    results.steps.iter().for_each(|step| line(&step.step, &step.ratios));
    line("all", &results.ratios);
    render(table, 1..heads.len())
}

fn ledger(results: &Results) -> String {
    let ways: Vec<Way> = results.ledger.keys().copied().collect();
    let heads: Vec<&str> = ["table"].into_iter().chain(ways.iter().map(|way| way.about())).collect();
    let mut table = table(&heads);
    let a_row = |bytes: u64| format!("{:.1}", bytes as f64 / results.rows.max(1) as f64);
    let names: BTreeSet<&String> = results.ledger.values().flat_map(BTreeMap::keys).collect();
    for name in names {
        let of = |way: &Way| results.ledger[way].get(name).map_or_else(none, |bytes| a_row(*bytes));
        table.add_row(std::iter::once(name.clone()).chain(ways.iter().map(of)));
    }
    let all = ways.iter().map(|way| a_row(results.ledger[way].values().sum()));
    table.add_row(std::iter::once("all".to_owned()).chain(all));
    render(table, 1..heads.len())
}

fn costs(results: &Results) -> String {
    let heads = [
        "step",
        "added",
        "c: s",
        "own CPU s",
        "MariaDB CPU s",
        "PostgreSQL CPU s",
        "WAL MB",
        "peak MB",
        "d: s",
        "PostgreSQL CPU s",
        "WAL MB",
    ];
    let mut table = table(&heads);
    let of = |step: &StepResult, way: Way| step.ways.get(&way).cloned();
    for step in &results.steps {
        let mut cells = vec![step.step.clone(), grouped(step.added.values().sum())];
        match of(step, Way::ReplantSteps) {
            Some(replant) => {
                cells.push(tenths(Some(replant.seconds)));
                cells.extend(cpu(&replant));
                cells.push(megabytes(replant.wal_bytes));
                cells.push(replant.peak_rss_mb.map_or_else(none, whole));
            }
            None => cells.extend((0..6).map(|_| none())),
        }
        match of(step, Way::Limit) {
            Some(limit) => {
                cells.extend([tenths(Some(limit.seconds)), tenths(limit.target_cpu_s), megabytes(limit.wal_bytes)]);
            }
            None => cells.extend((0..3).map(|_| none())),
        }
        table.add_row(cells);
    }
    render(table, 1..heads.len())
}

fn cpu(measure: &Measure) -> [String; 3] {
    [measure.own_cpu_s, measure.legacy_cpu_s, measure.target_cpu_s].map(tenths)
}

fn none() -> String {
    "-".to_owned()
}

fn tenths(seconds: Option<f64>) -> String {
    seconds.map_or_else(none, |seconds| format!("{seconds:.1}"))
}

fn whole(number: f64) -> String {
    grouped(number.round() as u64)
}

fn megabytes(bytes: u64) -> String {
    grouped(bytes / 1_000_000)
}
