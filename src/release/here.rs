//! The release that a program stands in.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::ReleaseError;
use super::limits::MOST_MANIFEST;
use super::manifest::{MANIFEST, Manifest};

/// The program of a release, inside of it.
pub(super) const PROGRAM: &str = "bin/skitter";

/// A release that has been unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Where it is: the directory with `RELEASE.json`, all links resolved.
    pub directory: PathBuf,
    /// What it is.
    pub manifest: Manifest,
}

impl Release {
    /// The release that the running program stands in; none if it was built here, or stands alone.
    ///
    /// # Errors
    /// When it stands in one that cannot be read.
    ///
    /// ```
    /// use skitter::release::Release;
    ///
    /// let here = Release::here()?;
    /// let place = here.map(|release| release.directory);
    /// assert_eq!(place, None); // this example was built where it runs
    /// # Ok::<(), skitter::release::ReleaseError>(())
    /// ```
    pub fn here() -> Result<Option<Release>, ReleaseError> {
        let unknown = |source| ReleaseError::Read { path: "the path of this program".into(), source };
        Release::of(&std::env::current_exe().map_err(unknown)?)
    }

    /// The release that a program stands in: `DIRECTORY/bin/skitter` beside `DIRECTORY/RELEASE.json`.
    ///
    /// # Errors
    /// When it stands in one that cannot be read.
    pub fn of(program: &Path) -> Result<Option<Release>, ReleaseError> {
        // A program that is not there any more is in no release.
        let Ok(program) = program.canonicalize() else { return Ok(None) };
        let directory = program
            .parent()
            .and_then(Path::parent)
            .filter(|directory| program.ends_with(PROGRAM) && directory.join(MANIFEST).exists());
        directory.map(Release::open).transpose()
    }

    /// What tells it from other releases, of the same build, too: a sum of RELEASE.json, which has those of all files.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn sum(&self) -> io::Result<String> {
        let mut text = Vec::new();
        plain(&self.directory.join(MANIFEST))?.take(MOST_MANIFEST).read_to_end(&mut text)?;
        Ok(blake3::hash(&text).to_hex().to_string())
    }

    /// The release in this directory. Its files are not looked at; [`verify`](super::verify) does that.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Release, ReleaseError> {
        let path = directory.join(MANIFEST);
        let read = || -> io::Result<Vec<u8>> {
            let mut text = Vec::new();
            plain(&path)?.take(MOST_MANIFEST + 1).read_to_end(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if directory.is_dir() => {
                ReleaseError::Unusable { path: directory.to_owned(), reason: format!("there is no {MANIFEST} in it") }
            }
            _ => ReleaseError::Read { path: path.clone(), source },
        })?;
        let unusable = |reason| ReleaseError::Unusable { path: directory.to_owned(), reason };
        let manifest = Manifest::parse(&text).map_err(unusable)?;
        let directory =
            directory.canonicalize().map_err(|source| ReleaseError::Read { path: directory.to_owned(), source })?;
        Ok(Release { directory, manifest })
    }
}

/// Opens a file for reading. Whatever stands in its place, such as a pipe that nobody writes to, is not waited for.
pub(super) fn plain(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file, but something else")) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_program_knows_the_release_that_it_stands_in() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().canonicalize().expect("a path").join("hello-1");
        fs::create_dir_all(directory.join("bin")).expect("made");
        let program = directory.join(PROGRAM);
        assert_eq!(Release::of(&program).expect("no program"), None);
        fs::write(&program, "").expect("written");
        assert_eq!(Release::of(&program).expect("no release"), None);
        let manifest = Manifest::new("hello", "1.0.0", "0.1.0", "t", "0".repeat(64));
        fs::write(directory.join(MANIFEST), manifest.text().expect("a text")).expect("written");
        let found = Some(Release { directory: directory.clone(), manifest });
        assert_eq!(Release::of(&program).expect("a release"), found);
        // What is reached by a link stands where the link leads.
        symlink(&directory, place.path().join("current")).expect("a link");
        assert_eq!(Release::of(&place.path().join("current").join(PROGRAM)).expect("a release"), found);
        fs::write(directory.join("bin/other"), "").expect("written");
        assert_eq!(Release::of(&directory.join("bin/other")).expect("no program of a release"), None);

        fs::write(directory.join(MANIFEST), "{").expect("written");
        let said = Release::of(&program).expect_err("a broken release").to_string();
        assert!(said.contains("hello-1` is no release: RELEASE.json: EOF"), "{said}");
    }

    #[test]
    fn tests_stand_in_no_release() {
        assert_eq!(Release::here().expect("a program"), None);
        let said = Release::open(Path::new("/nowhere")).expect_err("no release").to_string();
        assert_eq!(said, "cannot read `/nowhere/RELEASE.json`: No such file or directory (os error 2)");
        let place = tempfile::tempdir().expect("a directory");
        let said = Release::open(place.path()).expect_err("no release").to_string();
        assert!(said.ends_with("is no release: there is no RELEASE.json in it"), "{said}");
        symlink("/dev/null", place.path().join(MANIFEST)).expect("a link");
        let said = Release::open(place.path()).expect_err("no file").to_string();
        assert!(said.ends_with("RELEASE.json`: it is no file, but something else"), "{said}");
    }
}
