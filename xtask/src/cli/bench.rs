//! The arguments of `bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) const HELP: &str = "\
It starts a MariaDB and a PostgreSQL of its own, which sync to disk and go when it ends, and needs
no settings. At a million rows it takes some minutes and 2 GB of the temp folder's disk.
docs/performance tells what is measured and how to read it.

What is measured, by word or letter:
  naive    a  a row at a time: autocommit, and a commit per 1,000 rows; on a slice
  cached   b  cached lookups and multi-row INSERTs; on a slice
  replant  c  Replant: all steps in one process, and each step in one of its own
  offline     Replant into a platform that is not live
  limit    d  the rows that Replant added, by plain \\copy
  reading  e  the legacy tables read, and nothing written

Examples:
  cargo xtask bench --rows 1m --json bench.json --svg bench.svg
  cargo xtask bench --rows 200k --only replant,limit --writers 4";

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Legacy rows, made up as `simulate` does it: 250000, 100k, 7m
    #[arg(long, value_name = "ROWS", default_value = "1m", value_parser = super::simulate::rows)]
    pub(crate) rows: u64,
    /// Where all chance comes from
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Measure on the sample of fixtures, about 70,000 rows, instead of made-up rows
    #[arg(long, conflicts_with_all = ["rows", "seed"])]
    pub(crate) sample: bool,
    /// Rounds; of each figure the median is told
    #[arg(long, value_name = "ROUNDS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) repeat: u16,
    /// Legacy rows of each step that the naive ways move; the cached one moves ten times as many
    #[arg(long, value_name = "ROWS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) slice: u64,
    /// What is measured; what it is compared with is measured as well [default: all]
    #[arg(long, value_name = "WAYS", value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Measured>,
    /// Threads of Replant that read and judge [default: as default.toml has it]
    #[arg(long, value_name = "THREADS")]
    pub(crate) readers: Option<usize>,
    /// Threads of Replant that write [default: as default.toml has it]
    #[arg(long, value_name = "THREADS")]
    pub(crate) writers: Option<usize>,
    /// As of `migrate`: threads that read, and as many that write
    #[arg(long, value_name = "N", conflicts_with_all = ["readers", "writers"], value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) workers: Option<u8>,
    /// Write the results as JSON into this file; `-`: print them instead of tables
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a chart into this file
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) svg: Option<PathBuf>,
    /// Keep the databases for a look until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What `bench` measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measured {
    #[value(alias = "a")]
    Naive,
    #[value(alias = "b")]
    Cached,
    #[value(alias = "c")]
    Replant,
    Offline,
    #[value(alias = "d")]
    Limit,
    #[value(alias = "e")]
    Reading,
}
