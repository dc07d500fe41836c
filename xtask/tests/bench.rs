//! The bench from end to end on a few made-up rows: that all ways move the same rows, and what it says of them. Not how fast.

#![allow(clippy::unwrap_used, clippy::float_arithmetic, reason = "a test may fail, and figures are compared")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use replant_testkit::servers::{self, Kind};
use serde_json::Value;

/// Legacy rows that are asked for.
const ASKED: u64 = 20_000;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn all_ways_move_the_rows_and_are_compared() {
    let (Some(_), Some(_)) = (servers::available(Kind::Postgres), servers::available(Kind::MariaDb)) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("bench.svg");
    let end = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["bench", "--rows", &ASKED.to_string(), "--seed", "5", "--slice", "20", "--writers", "3", "--json", "-"])
        .args([Path::new("--svg"), &svg])
        .arg("--config-dir")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&end.stderr);
    assert!(end.status.success(), "{said}");
    let results: Value = serde_json::from_slice(&end.stdout).unwrap();

    let rows = results["rows"].as_u64().unwrap();
    assert!(rows.abs_diff(ASKED) < ASKED / 100, "{rows}");
    assert_eq!((&results["seed"], &results["connections"]), (&5.into(), &3.into()));
    assert_eq!(
        (&results["postgres"]["fsync"], &results["postgres"]["synchronous_commit"]),
        (&"on".into(), &"on".into())
    );
    assert_eq!(results["mariadb"]["innodb_flush_log_at_trx_commit"], "1");
    for ratio in ["naive", "naive_per_1000", "cached", "limit", "offline"] {
        assert!(number(&results["ratios"][ratio]) > 0.0, "{ratio}");
    }
    assert!(number(&results["rows_per_s"]) > 0.0 && number(&results["peak_rss_mb"]) > 1.0);

    let by_step = ["naive", "naive_per_1000", "cached", "replant_steps", "limit", "reading", "reading_parallel"];
    for way in by_step.into_iter().chain(["replant", "replant_offline"]) {
        let measure = &results["ways"][way];
        assert_eq!(measure["rows"], rows, "{way}");
        let pace = rows as f64 / number(&measure["seconds"]);
        assert!((number(&measure["rows_per_s"]) / pace - 1.0).abs() < 1e-6, "{way}");
        let wrote = number(&measure["wal_bytes"]) > 1e6;
        assert_eq!(wrote, !way.starts_with("reading"), "{way}");
        // A slice is measured of the plain ways, and scaled up.
        let measured = measure["measured_rows"].as_u64().unwrap();
        let expected = if ["naive", "naive_per_1000", "cached"].contains(&way) { 1..rows } else { rows..rows + 1 };
        assert!(expected.contains(&measured), "{way}: {measured}");
    }

    let steps = results["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step["rows"].as_u64().unwrap()).sum::<u64>(), rows);
    for step in steps {
        let name = step["step"].as_str().unwrap();
        for way in by_step {
            assert_eq!(step["ways"][way]["rows"], step["rows"], "{name}, {way}");
        }
        assert!(number(&step["ratios"]["limit"]) > 0.0 && number(&step["rows_per_s"]) > 0.0, "{name}");
        assert!(step["added"].as_object().unwrap().values().all(|rows| number(rows) > 0.0), "{name}");
    }
    let payments = steps.iter().find(|step| step["step"] == "payments.payments").unwrap();
    let tables: Vec<&String> = payments["added"].as_object().unwrap().keys().collect();
    assert_eq!(tables, ["payment_allocations", "payments", "refunds"]);

    assert!(fs::read_to_string(svg).unwrap().starts_with("<svg"));
}
