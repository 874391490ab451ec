//! From a package to a tarball.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::archive;
use super::cargo::{Built, Project};
use super::contents::Contents;
use super::error::ReleaseError;
use super::licenses::{self, Part};
use super::manifest::Manifest;
use super::target;
use super::tools::Tools;

/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What to release, and how.
pub struct Order<'a> {
    /// Where the package is: this directory, or one above it.
    pub directory: &'a Path,
    /// Its program, if it has several.
    pub program: Option<&'a str>,
    /// What it runs on; none means the usual.
    pub target: Option<&'a str>,
    /// The file to write; none means the usual name, in `directory`.
    pub output: Option<&'a Path>,
    /// The text of `skitter.toml`.
    pub configuration: &'a str,
    /// Gives the fingerprint of a program, in hexadecimal.
    pub fingerprint: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// A release that has been made.
#[derive(Debug)]
pub struct Packed {
    /// The tarball.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// What it is.
    pub manifest: Manifest,
    /// What it runs on.
    pub runs_on: String,
}

/// Builds the application and packs it. Takes as long as cargo does; what that says goes to stderr. The file appears
/// when it is complete, in place of another tarball of that name.
///
/// # Errors
/// When the package is not there, does not build, or cannot be written.
pub fn make(tools: &Tools, order: &Order<'_>) -> Result<Packed, ReleaseError> {
    let project = Project::find(tools, order.directory, order.program)?;
    // What is wrong with it is said before, not after ten minutes of compiling.
    order.output.map_or(Ok(()), check)?;
    let place = project.directory();
    let target = match order.target {
        Some(target) => target.to_owned(),
        None => target::usual(tools, place)?,
    };
    let Built { program, skitter, parts } = project.build(tools, &target)?;
    let read = |source| ReleaseError::Read { path: program.clone(), source };
    let build = (order.fingerprint)(&program).map_err(read)?;
    let bytes = fs::read(&program).map_err(read)?;
    let mut licences = parts.iter().map(|manifest| Part::package(manifest)).collect::<Result<Vec<_>, _>>()?;
    licences.push(library(tools, place)?);
    let manifest = Manifest::new(&project.name, &project.version, &skitter, &target, build);
    let output = order.output.map_or_else(|| order.directory.join(manifest.file_name()), Path::to_owned);
    check(&output)?;
    let runs_on = target::runs_on(&target, &bytes);
    let contents = Contents {
        licenses: licenses::list(&format!("{} {}", project.name, project.version), licences),
        program: bytes,
        configuration: order.configuration,
        runs_on: runs_on.clone(),
        manifest,
    };
    let write = |source| ReleaseError::Write { path: output.clone(), source };
    let (manifest, files) = contents.files().map_err(|error| write(error.into()))?;
    let top = manifest.directory();
    let size = replace(&output, |out| archive::write(out, &top, &files, tools.time(place)).map(drop)).map_err(write)?;
    Ok(Packed { path: output, size, manifest, runs_on })
}

/// Rust's library is a part of every program.
fn library(tools: &Tools, directory: &Path) -> Result<Part, ReleaseError> {
    let version = tools.rustc(directory, &["--version"])?;
    let version = version.split_whitespace().nth(1).unwrap_or_default();
    let toolchain = tools.rustc(directory, &["--print", "sysroot"])?;
    Ok(Part::library(version, Path::new(toolchain.trim_end_matches('\n'))))
}

/// Whether a tarball could be written there: into a directory that is there, over another tarball at most.
fn check(output: &Path) -> Result<(), ReleaseError> {
    let shown = output.display();
    let directory = parent(output);
    if !directory.is_dir() {
        return Err(ReleaseError::Usage(format!(
            "cannot write `{shown}`: there is no directory `{}`",
            directory.display()
        )));
    }
    if output.is_dir() || output.file_name().is_none() {
        return Err(ReleaseError::Usage(format!("cannot write `{shown}`: it is a directory; name a file in it")));
    }
    let mut begin = Vec::new();
    let is_tarball = match fs::metadata(output) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(source) => return Err(ReleaseError::Write { path: output.to_owned(), source }),
        Ok(file) if !file.is_file() => false,
        Ok(_) => {
            let read = File::open(output).and_then(|file| file.take(GZIP.len() as u64).read_to_end(&mut begin));
            read.map_err(|source| ReleaseError::Read { path: output.to_owned(), source })? == GZIP.len()
                && begin == GZIP
        }
    };
    if is_tarball {
        return Ok(());
    }
    Err(ReleaseError::Usage(format!("`{shown}` is there and is no tarball; remove it, or name another file by -o")))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file that appears under its name when it is complete. Returns its size.
fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = Unfinished(parent(path).join(format!(".{name}.{}", std::process::id())));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&unfinished.0)?;
    let mut out = BufWriter::new(&file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    file.sync_all()?;
    fs::rename(&unfinished.0, path)?;
    Ok(file.metadata()?.len())
}

/// A file that is removed if it is still there at the end.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("x.tar.gz");
        let failed = replace(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert_eq!(failed.expect_err("it fails").to_string(), "no more");
        assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 0, "nothing is left");
        assert_eq!(replace(&path, |out| out.write_all(b"whole")).expect("written"), 5);
        assert_eq!(replace(&path, |out| out.write_all(b"other")).expect("written"), 5);
        assert_eq!(fs::read(&path).expect("a file"), b"other");
        assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn where_to_write_is_checked() {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        fs::write(at("old.tar.gz"), [&GZIP[..], b"x"].concat()).expect("written");
        fs::write(at("text"), "x").expect("written");
        for fits in ["new.tar.gz", "old.tar.gz"] {
            check(&at(fits)).expect(fits);
        }
        for (wrong, part) in [
            ("text", "is there and is no tarball; remove it"),
            (".", "it is a directory; name a file in it"),
            ("missing/new.tar.gz", "there is no directory `"),
        ] {
            let said = check(&at(wrong)).expect_err(wrong).to_string();
            assert!(said.contains(part), "{said}");
        }
        assert!(check(Path::new("/dev/full")).is_err());
        assert!(check(Path::new("")).is_err());
    }
}
