//! `dist`: the program with all that it needs, in one archive for hosts without Rust.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, io, process};

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use lddtree::DependencyAnalyzer;
use replant_cli::{Command, Context, Error, Exit, output};
use tar::{Builder, Header};

/// Pack this program, its settings, docs and client libraries into one archive, for hosts without Rust
#[derive(Debug, Args)]
#[command(after_help = "\
Unpacked anywhere on Linux of the same kind, with a glibc that is not older, ./replant does all that
does not build: demo, plan, migrate, work, ... Its settings are the files of `config` beside it, and
`lib` has the client libraries that it was linked with.")]
pub(crate) struct Dist {
    /// The archive [default: replant-VERSION-MACHINE.tar.gz, here]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What goes along as it is: where it stands in the workspace, and in the archive.
const FILES: [(&str, &str); 7] = [
    ("xtask/config", "config"),
    ("docs", "docs"),
    ("fixtures/sample", "fixtures/sample"),
    ("schemas", "schemas"),
    ("README.md", "README.md"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
];

/// How the names of the libraries begin that a host has of its own: those of glibc and of the compiler, which fit its kernel.
const OF_THE_HOST: [&str; 8] =
    ["ld-linux", "libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libresolv.so", "libgcc_s.so"];

impl Command for Dist {
    const NAME: &'static str = "dist";

    fn run(self, cx: &Context) -> Result<Exit, Error> {
        let Some(root) = cx.workspace() else {
            let hint = "run it in the workspace, by `cargo xtask dist`".to_owned();
            return Err(Error::NotFound {
                what: "there is no workspace whose docs and settings go along".to_owned(),
                hint,
            });
        };
        let name = format!("replant-{}-{}-{}", env!("CARGO_PKG_VERSION"), env::consts::ARCH, env::consts::OS);
        let out = self.out.unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
        let program = env::current_exe().map_err(Error::io("find this program"))?;
        let libraries = libraries(&program)?;
        let licences = licences(&root)?;
        let write = || -> io::Result<()> {
            let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder)?;
            let mut archive = Builder::new(GzEncoder::new(file, Compression::default()));
            let within = |place: &str| Path::new(&name).join(place);
            archive.append_path_with_name(&program, within("replant"))?;
            for library in &libraries {
                let file = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
                archive.append_file(within("lib").join(file), &mut File::open(library)?)?;
            }
            for (from, to) in FILES {
                let from = root.join(from);
                match from.is_dir() {
                    true => archive.append_dir_all(within(to), from)?,
                    false => archive.append_path_with_name(from, within(to))?,
                }
            }
            let mut header = Header::new_gnu();
            header.set_size(licences.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            archive.append_data(&mut header, within("LICENSES-THIRD-PARTY"), licences.as_bytes())?;
            let file = archive.into_inner()?.finish()?;
            file.as_file().sync_all()?;
            file.persist(&out).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(Error::io(format!("write {}", out.display())))?;
        output::print(format!(
            "{}: the program, {} client libraries, settings, docs and the sample",
            out.display(),
            libraries.len()
        ));
        Ok(Exit::Done)
    }
}

/// The shared libraries of a program that not every host has, under the names by which it asks for them.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let failed = |error: lddtree::Error| Error::Failed {
        what: format!("the libraries of this program cannot be told: {error}"),
        hint: "an archive can be made of a program for Linux alone".to_owned(),
    };
    let tree = DependencyAnalyzer::default().analyze(program).map_err(failed)?;
    let mut found = BTreeSet::new();
    for library in tree.libraries.into_values() {
        if OF_THE_HOST.iter().any(|start| library.name.starts_with(start)) {
            continue;
        }
        if !library.found() {
            let hint = "install it, or build the program anew".to_owned();
            return Err(Error::NotFound { what: format!("the library {} is not there", library.name), hint });
        }
        found.insert(library.path);
    }
    Ok(found)
}

/// Whose work the program is made of: a crate a line, with its licence.
fn licences(root: &Path) -> Result<String, Error> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut ask = process::Command::new(cargo);
    ask.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]).current_dir(root);
    let answer = ask.output().map_err(Error::io("run `cargo metadata`"))?;
    let packages: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
    let text = |package: &serde_json::Value, field: &str| package[field].as_str().unwrap_or("?").to_owned();
    let packages = packages["packages"].as_array().into_iter().flatten();
    let mut lines: Vec<String> = packages
        .filter(|package| !package["source"].is_null())
        .map(|package| format!("{} {}: {}", text(package, "name"), text(package, "version"), text(package, "license")))
        .collect();
    lines.sort_unstable();
    if lines.is_empty() {
        let hint = "run it in the workspace, by `cargo xtask dist`".to_owned();
        return Err(Error::Failed { what: "cargo does not tell what the program is made of".to_owned(), hint });
    }
    Ok(lines.join("\n") + "\n")
}

/// The platform that the program is for.
const TARGET: &str = env!("TARGET");
