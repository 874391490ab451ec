//! A file of a directory, which is hidden until it may be seen.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use serde::{Deserialize, Serialize};

use super::columns::plain;
use crate::operations::cause::cause;
use crate::workflow::{Error, Result};

/// What is wrong with a directory that is to be written to.
pub(super) fn cannot_write(directory: &Path, why: impl std::fmt::Display) -> Error {
    Error::Outside(format!("cannot write to directory `{}`: {why}", directory.display()))
}

/// The name of a file in a directory, of which nobody else has the like: by the number of the writer's life, which is
/// by chance, and its own number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartName {
    pub life: u64,
    pub number: u64,
}

impl PartName {
    fn name(self) -> String {
        format!("part-{:016x}-{:05}.parquet", self.life, self.number)
    }

    fn hidden(self, directory: &Path) -> PathBuf {
        directory.join(format!(".{}.part", self.name()))
    }

    /// Gives a file its name, unless it has it already.
    pub fn show(self, directory: &Path) -> Result<()> {
        let (hidden, shown) = (self.hidden(directory), directory.join(self.name()));
        match fs::rename(&hidden, &shown) {
            Err(_) if shown.exists() => Ok(()),
            result => {
                result.map_err(|error| cannot_write(directory, format!("{}: {}", hidden.display(), cause(&error))))
            }
        }
    }

    /// Whether the file is there, under either name.
    pub fn is_there(self, directory: &Path) -> bool {
        self.hidden(directory).exists() || directory.join(self.name()).exists()
    }

    pub fn remove(self, directory: &Path) {
        // Nobody is left to tell that it cannot be removed; its name says what it is.
        let _ = fs::remove_file(self.hidden(directory));
    }

    /// The hidden file of this name, if there is one.
    pub fn hidden_ones(directory: &Path, life: u64) -> Vec<PartName> {
        let prefix = format!(".part-{life:016x}-");
        let entries = fs::read_dir(directory).into_iter().flatten().map_while(Result::ok);
        let numbers = entries.filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_prefix(&prefix)?.strip_suffix(".parquet.part")?.parse().ok()
        });
        numbers.map(|number| PartName { life, number }).collect()
    }
}

/// A file that is being written. Dropped before it is sealed, it leaves nothing behind.
pub(super) struct Part {
    pub name: PartName,
    pub writer: Option<ArrowWriter<File>>,
    pub directory: PathBuf,
}

impl Part {
    /// Brings it to the disk as a whole.
    pub fn seal(&mut self) -> Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let sealed = writer.into_inner().map_err(plain);
        let sealed = sealed.and_then(|file| file.sync_all().map_err(|error| cause(&error)));
        sealed.map_err(|why| {
            self.name.remove(&self.directory);
            cannot_write(&self.directory, why)
        })
    }

    /// The file that is to be written.
    pub fn create(directory: &Path, name: PartName) -> Result<File> {
        let path = name.hidden(directory);
        let created = File::options().write(true).create_new(true).open(&path);
        created.map_err(|error| cannot_write(directory, cause(&error)))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.writer.is_some() {
            self.name.remove(&self.directory);
        }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("name", &self.name).finish_non_exhaustive()
    }
}
