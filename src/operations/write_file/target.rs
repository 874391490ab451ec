//! A file that is not there until it is complete.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Access, access};

use crate::operations::cause::cause;
use crate::workflow::{Error, Result};

/// How much is written at once: a system call for each row would cost more than the row.
pub(super) const WRITE_BYTES: usize = 64 << 10;

/// How many names of temporary files are tried: more than a crash or two of a process of the same number can have left.
const MOST_NAMES: usize = 100;

/// Numbers the temporary files of this process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What is wrong with a file that is to be written.
pub(super) fn cannot_write(path: &Path, why: &str) -> Error {
    Error::Operation(format!("cannot write `{}`: {why}", path.display()))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    cannot_write(path, &cause(error))
}

/// Where the bytes go.
enum Place {
    /// To a file, by way of a temporary one beside it.
    Beside { directory: PathBuf, name: PathBuf, replaced: Option<Permissions> },
    /// To the file as it is: a pipe, a terminal, a device.
    Directly,
}

fn place(path: &Path) -> Result<Place> {
    let existing = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(cannot_write(path, "it is a directory; name a file in it")),
        Ok(metadata) if !metadata.is_file() || opened(path) => return Ok(Place::Directly),
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(path, &error)),
    };
    // What a link leads to is replaced, not the link.
    let name =
        if existing.is_some() { fs::canonicalize(path).map_err(|error| failed(path, &error))? } else { path.into() };
    let directory = match name.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok(Place::Beside { directory, name, replaced: existing })
}

/// Whether the path leads to an open file of this process: that one is meant, though it may be a regular file.
fn opened(path: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|open| path.starts_with(open))
}

/// Finds out what can be known about a path before anything is written.
pub(super) fn check(path: &Path) -> Result<()> {
    let may = |checked: &Path, rights| access(checked, rights).map_err(|error| failed(path, &error.into()));
    match place(path)? {
        Place::Directly => may(path, Access::WRITE_OK),
        Place::Beside { directory, name, replaced } => {
            if name.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                return Err(cannot_write(path, "it is not the name of a file"));
            }
            match fs::metadata(&directory) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Err(cannot_write(path, &format!("`{}` is not a directory", directory.display()))),
                Err(error) => {
                    let why = format!("directory `{}`: {}", directory.display(), cause(&error));
                    return Err(cannot_write(path, &why));
                }
            }
            if replaced.is_some() {
                may(&name, Access::WRITE_OK)?;
            }
            may(&directory, Access::WRITE_OK | Access::EXEC_OK)
        }
    }
}

/// A file that is being written. Dropped before it is [complete](Target::complete), it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Target {
    /// As the user named it.
    path: PathBuf,
    file: File,
    part: Option<Part>,
    /// What has not been written yet.
    pub buffer: Vec<u8>,
}

/// The temporary file, and what it becomes.
#[derive(Debug)]
struct Part {
    /// None once it has its name.
    temporary: Option<PathBuf>,
    name: PathBuf,
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            // Nobody is left to tell that it cannot be removed; its name says what it is.
            let _ = fs::remove_file(temporary);
        }
    }
}

impl Target {
    /// Makes the temporary file.
    pub fn open(path: &Path) -> Result<Target> {
        check(path)?;
        let (file, part) = match place(path)? {
            // A file that standard output was redirected to is not emptied, and what others append to it stays.
            Place::Directly => (File::options().append(true).open(path), None),
            Place::Beside { directory, name, replaced } => {
                let (temporary, file) = temporary(&directory, &name).map_err(|error| failed(path, &error))?;
                let part = Part { temporary: Some(temporary), name };
                let allowed = match replaced {
                    Some(permissions) => file.set_permissions(permissions),
                    None => Ok(()),
                };
                (allowed.map(|()| file), Some(part))
            }
        };
        let file = file.map_err(|error| failed(path, &error))?;
        Ok(Target { path: path.to_owned(), file, part, buffer: Vec::with_capacity(WRITE_BYTES + WRITE_BYTES / 8) })
    }

    /// Hands what is buffered to the operating system.
    pub fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|error| failed(&self.path, &error))
    }

    /// Puts the file under its name, as a whole, on the disk. Until then there is what was there before.
    pub fn complete(mut self) -> Result<()> {
        self.flush()?;
        let Some(Part { temporary: Some(temporary), name }) = &self.part else { return Ok(()) };
        // A disk may report only now that it was full.
        let renamed = self.file.sync_all().and_then(|()| fs::rename(temporary, name));
        renamed.map_err(|error| failed(&self.path, &error))?;
        if let Some(part) = &mut self.part {
            part.temporary = None;
        }
        Ok(())
    }
}

/// A new file with a hidden name: `.NAME.PROCESS-NUMBER.part`.
fn temporary(directory: &Path, name: &Path) -> std::io::Result<(PathBuf, File)> {
    // Cut, so that the whole stays within the 255 bytes that a name may have.
    let name: String = name.file_name().unwrap_or_default().to_string_lossy().chars().take(48).collect();
    let mut tried = 0;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".{name}.{}-{number}.part", std::process::id()));
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && tried < MOST_NAMES => tried += 1,
            Err(error) => return Err(error),
        }
    }
}
