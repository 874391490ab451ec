//! Whether a release is as it was made.
//!
//! A tarball is read from begin to end and never unpacked, so that one that means harm finds nothing to write to. What
//! tar could do beyond plain files (links, devices, names in extra entries) is refused, unread.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::error::{Fault, ReleaseError};
use super::here::{PROGRAM, Release, plain};
use super::limits::{MOST_BYTES, MOST_DEPTH, MOST_FILES, MOST_MANIFEST};
use super::manifest::{MANIFEST, Manifest, Sum, hex, is_path};

/// What nodes and deployers put into the directory of a release, which is no part of it.
const LATER: [&str; 4] = ["logs", "files", "releases", "current"];

/// Bytes that are read at a time.
const CHUNK: usize = 64 * 1024;

/// The permission of its owner to run a file.
const MAY_RUN: u32 = 0o100;

/// Checks a tarball, or the directory that one was unpacked to: each file has to be there and to have its sum, the
/// program has to be one that can be run, and there has to be nothing else; logs may be.
///
/// # Errors
/// [`ReleaseError::Broken`] with all that is wrong; [`ReleaseError::Unusable`] when it is no release, or a tarball that
/// is cut, or has what no release has.
///
/// ```
/// let place = tempfile::tempdir()?;
/// let error = skitter::release::verify(place.path()).expect_err("an empty directory");
/// assert!(error.to_string().ends_with("is no release: there is no RELEASE.json in it"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn verify(path: &Path) -> Result<Manifest, ReleaseError> {
    let read = |source| ReleaseError::Read { path: path.to_owned(), source };
    let kind = fs::metadata(path).map_err(read)?;
    let (manifest, mut faults) = if kind.is_dir() {
        let release = Release::open(path)?;
        let faults = in_directory(&release).map_err(|(path, source)| ReleaseError::Read { path, source })?;
        (release.manifest, faults)
    } else {
        let unusable = |reason| ReleaseError::Unusable { path: path.to_owned(), reason };
        if !kind.is_file() {
            return Err(unusable("it is neither a file nor a directory".to_owned()));
        }
        in_tarball(BufReader::new(plain(path).map_err(read)?)).map_err(unusable)?
    };
    if faults.is_empty() {
        return Ok(manifest);
    }
    faults.sort();
    Err(ReleaseError::Broken { path: path.to_owned(), faults })
}

/// What was found of a file.
struct Found {
    sum: Sum,
    /// What it would be as a build.
    build: String,
    executable: bool,
}

impl Found {
    fn fault(&self, path: &str, expected: &Sum, build: &str) -> Option<Fault> {
        let why = if self.sum.size != expected.size {
            format!("has {} bytes, not {}", self.sum.size, expected.size)
        } else if self.sum.sha256 != expected.sha256 {
            "has other contents".to_owned()
        } else if path == PROGRAM && self.build != build {
            format!("is the build {}…, not {}…", &self.build[..8], &build[..8])
        } else if path == PROGRAM && !self.executable {
            "cannot be run: its permissions are missing".to_owned()
        } else {
            return None;
        };
        Some(Fault::Differs { path: path.to_owned(), why })
    }
}

/// Reads to the end, and gives the sum of it, and what it would be as a build.
fn sum(mut from: impl Read) -> io::Result<(Sum, String)> {
    let (mut hash, mut build, mut size, mut chunk) = (Sha256::new(), blake3::Hasher::new(), 0, vec![0; CHUNK]);
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok((Sum { sha256: hex(&hash.finalize()), size }, build.finalize().to_hex().to_string())),
            Ok(read) => {
                build.update(&chunk[..read]);
                hash.update(&chunk[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The sum of these bytes.
pub(super) fn sum_of(bytes: &[u8]) -> Sum {
    Sum { sha256: hex(&Sha256::digest(bytes)), size: bytes.len() as u64 }
}

/// An error, and the file that it is about.
type At = (std::path::PathBuf, io::Error);

/// Files that are not listed are not read, nor those that have another size than is listed.
fn in_directory(release: &Release) -> Result<Vec<Fault>, At> {
    let mut faults = Vec::new();
    let mut missing = release.manifest.files.clone();
    let mut directories = vec![(String::new(), 0)];
    while let Some((inside, depth)) = directories.pop() {
        let directory = release.directory.join(&inside);
        let at = |error| (directory.clone(), error);
        for entry in fs::read_dir(&directory).map_err(at)? {
            let entry = entry.map_err(at)?;
            let path = format!("{inside}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(at)?;
            if path == MANIFEST && kind.is_file() || LATER.contains(&path.as_str()) && !kind.is_file() {
                continue;
            }
            if kind.is_dir() && depth < MOST_DEPTH {
                directories.push((format!("{path}/"), depth + 1));
            } else if let Some(expected) = missing.remove(&path).filter(|_| kind.is_file()) {
                let found = look(&entry.path(), &expected).map_err(|error| (entry.path(), error))?;
                faults.extend(found.fault(&path, &expected, &release.manifest.build));
            } else if release.manifest.files.contains_key(&path) {
                faults.push(Fault::Differs { path, why: "is no file, but a link or something else".to_owned() });
            } else {
                faults.push(Fault::TooMuch(path));
            }
            if faults.len() > MOST_FILES {
                return Ok(faults);
            }
        }
    }
    faults.extend(missing.into_keys().map(Fault::Missing));
    Ok(faults)
}

fn look(path: &Path, expected: &Sum) -> io::Result<Found> {
    let file = plain(path)?;
    let metadata = file.metadata()?;
    let executable = metadata.permissions().mode() & MAY_RUN != 0;
    let size = metadata.len();
    let (sum, build) = if size == expected.size {
        sum(file.take(size + 1))?
    } else {
        (Sum { sha256: String::new(), size }, String::new())
    };
    Ok(Found { sum, build, executable })
}

/// Reads a tarball: what it says that it is, and what is wrong.
fn in_tarball(file: impl io::BufRead) -> Result<(Manifest, Vec<Fault>), String> {
    let mut archive = tar::Archive::new(Limited { from: GzDecoder::new(file), left: MOST_BYTES });
    let mut found = BTreeMap::new();
    let mut manifest = None;
    let mut top = None;
    // Raw, because names in extra entries are read into memory, however long they are.
    for entry in archive.entries().map_err(cut)?.raw(true) {
        let mut entry = entry.map_err(cut)?;
        let path = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&path).escape_debug().to_string();
        let kind = entry.header().entry_type();
        if !matches!(kind, EntryType::Regular | EntryType::Directory) {
            return Err(format!("`{shown}` in it is neither a file nor a directory"));
        }
        let path = String::from_utf8(path).map_err(|_| format!("the name of `{shown}` in it is not UTF-8"))?;
        let path = if kind == EntryType::Directory { path.trim_end_matches('/') } else { &path };
        let (first, inside) = path.split_once('/').unwrap_or((path, ""));
        if !is_path(path) || *top.get_or_insert_with(|| first.to_owned()) != first {
            return Err(format!("`{shown}` in it leads out of the directory that it unpacks to"));
        }
        if kind == EntryType::Directory {
            continue;
        }
        let executable = entry.header().mode().map_err(cut)? & MAY_RUN != 0;
        let twice = if inside == MANIFEST {
            let mut text = Vec::new();
            entry.take(MOST_MANIFEST + 1).read_to_end(&mut text).map_err(cut)?;
            manifest.replace(text).is_some()
        } else {
            let (sum, build) = sum(&mut entry).map_err(cut)?;
            found.insert(inside.to_owned(), Found { sum, build, executable }).is_some()
        };
        if twice {
            return Err(format!("`{shown}` is in it twice"));
        }
        if found.len() > MOST_FILES {
            return Err(format!("it has more than {MOST_FILES} files"));
        }
    }
    nothing_behind(archive.into_inner())?;
    let manifest = Manifest::parse(&manifest.ok_or_else(|| format!("there is no {MANIFEST} in it"))?)?;
    if top != Some(manifest.directory()) {
        return Err(format!("it unpacks to `{}`, not to `{}`", top.unwrap_or_default(), manifest.directory()));
    }
    let mut faults = Vec::new();
    for (path, expected) in &manifest.files {
        match found.remove(path) {
            Some(found) => faults.extend(found.fault(path, expected, &manifest.build)),
            None => faults.push(Fault::Missing(path.clone())),
        }
    }
    faults.extend(found.into_keys().map(Fault::TooMuch));
    Ok((manifest, faults))
}

fn cut(error: io::Error) -> String {
    format!("it cannot be read to its end, as if it were cut or damaged: {error}")
}

/// Behind the last entry there are zeros up to the end, and nothing behind the compressed data.
fn nothing_behind<R: io::BufRead>(mut rest: Limited<GzDecoder<R>>) -> Result<(), String> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match rest.read(&mut chunk).map_err(cut)? {
            0 => break,
            read if chunk[..read].iter().all(|byte| *byte == 0) => {}
            _ => return Err("there is something behind its last file".to_owned()),
        }
    }
    match rest.from.get_mut().fill_buf().map_err(cut)? {
        [] => Ok(()),
        _ => Err("there is something behind its end".to_owned()),
    }
}

/// Gives no more bytes than a release may have.
struct Limited<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(format!("it unpacks to more than {MOST_BYTES} bytes"))),
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
