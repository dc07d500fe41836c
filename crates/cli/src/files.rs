//! Files that appear once they are complete.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::error::Error;

/// Files that wait under other names until all of them are written.
#[derive(Default)]
pub struct Files(Vec<(NamedTempFile, PathBuf)>);

impl Files {
    /// Writes a file beside where it will be.
    ///
    /// # Errors
    /// Its folder cannot be written.
    pub fn add(&mut self, out: PathBuf, content: &[u8]) -> Result<(), Error> {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let write = || -> io::Result<NamedTempFile> {
            let mut file = tempfile::Builder::new().prefix(".replant-").suffix(".part").tempfile_in(folder)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let file = write().map_err(Error::io(format!("write {}", out.display())))?;
        self.0.push((file, out));
        Ok(())
    }

    /// Gives all of them their names. A file that has such a name already is replaced.
    ///
    /// # Errors
    /// One of them cannot have its name; those before it have theirs.
    pub fn appear(self) -> Result<(), Error> {
        for (file, out) in self.0 {
            let what = format!("write {}", out.display());
            file.persist(&out).map_err(|error| Error::io(what)(error.error))?;
        }
        Ok(())
    }
}

/// Lines as CSV. The header stands there even if no line does.
pub fn csv<L: Serialize + Default>(lines: &[L]) -> Vec<u8> {
    let written = |lines: &[L]| {
        let mut writer = csv::Writer::from_writer(Vec::new());
        lines.iter().for_each(|line| writer.serialize(line).expect("a line is numbers and texts"));
        writer.into_inner().expect("memory can be written")
    };
    if !lines.is_empty() {
        return written(lines);
    }
    let one = written(&[L::default()]);
    let header = one.split_inclusive(|byte| *byte == b'\n').next();
    header.unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Serialize)]
    struct Line {
        id: Option<i64>,
        name: String,
    }

    #[test]
    fn a_csv_without_lines_has_its_header() {
        assert_eq!(csv::<Line>(&[]), b"id,name\n");
        assert_eq!(csv(&[Line { id: None, name: "a, b".to_owned() }]), b"id,name\n,\"a, b\"\n");
    }

    #[test]
    fn files_appear_together_and_replace_older_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.csv"), folder.path().join("b.csv"));
        std::fs::write(&first, "old").unwrap();
        let mut files = Files::default();
        files.add(first.clone(), b"new").unwrap();
        files.add(second.clone(), b"x").unwrap();
        assert_eq!(std::fs::read(&first).unwrap(), b"old");
        assert!(!second.exists());
        files.appear().unwrap();
        assert_eq!((std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap()), (b"new".to_vec(), b"x".to_vec()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
