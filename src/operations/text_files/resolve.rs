//! From what the user named to the files that are read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};

use super::compressed::Compression;
use crate::operations::cause::cause;
use crate::workflow::{Error, Result};

/// A file that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextFile {
    /// Its path, as the user would write it.
    pub path: PathBuf,
    /// Its size in bytes; none for a file that is read until it ends.
    pub size: Option<u64>,
    /// How it is compressed.
    pub compression: Option<Compression>,
    /// Whether it is a pipe, a terminal or another special file: a read of it may find nothing yet.
    pub special: bool,
}

/// Like a shell: `*` matches neither a separator nor a hidden file.
pub(super) const MATCH: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// What is wrong with a file that is to be read.
pub(in crate::operations) fn cannot_read(path: &Path, why: &str) -> Error {
    Error::Operation(format!("cannot read `{}`: {why}", path.display()))
}

/// Checks the names as far as that goes without looking at the disk.
pub(in crate::operations) fn check(paths: &[PathBuf]) -> Result<()> {
    if paths.is_empty() {
        return Err(Error::from("no file to read was named; name at least one"));
    }
    match paths.iter().find(|path| path.as_os_str().is_empty()) {
        Some(_) => Err(Error::from("a file to read has an empty name")),
        None => Ok(()),
    }
}

/// All files, in the order in which they were named; those of a pattern in alphabetical order. Each can be read.
pub(super) fn resolve(paths: &[PathBuf]) -> Result<Vec<TextFile>> {
    check(paths)?;
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        match pattern(path) {
            Some(pattern) => expand(path, pattern, &mut files)?,
            None => files.push(inspect(path)?),
        }
    }
    Ok(files)
}

/// As [`resolve`], for files that are read by place.
#[cfg(feature = "parquet")]
pub(in crate::operations) fn regular_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let files = resolve(paths)?;
    match files.iter().find(|file| file.special) {
        Some(file) => Err(cannot_read(&file.path, "it is a pipe, a terminal or another special file")),
        None => Ok(files.into_iter().map(|file| file.path).collect()),
    }
}

/// The path as a pattern, unless it has none of a pattern's characters or there is a file of that very name.
pub(super) fn pattern(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let wild = text.contains(['*', '?', '[']);
    if wild && fs::symlink_metadata(path).is_err() { Some(text) } else { None }
}

pub(super) fn bad_pattern(path: &Path, error: &PatternError) -> Error {
    let why = format!("not a valid pattern: {} at character {}", error.msg, error.pos + 1);
    cannot_read(path, &why)
}

fn expand(path: &Path, pattern: &str, files: &mut Vec<TextFile>) -> Result<()> {
    let bad = |error: PatternError| bad_pattern(path, &error);
    // `glob_with` gives a message of its own only for the pattern as a whole.
    Pattern::new(pattern).map_err(bad)?;
    let before = files.len();
    let mut directories = false;
    for found in glob::glob_with(pattern, MATCH).map_err(bad)? {
        let found = found.map_err(|error| cannot_read(error.path(), &cause(error.error())))?;
        if found.is_dir() {
            directories = true;
        } else {
            files.push(inspect(&found)?);
        }
    }
    match files.len() - before {
        0 if directories => Err(cannot_read(path, "the pattern matches directories only")),
        0 => Err(cannot_read(path, "the pattern matches no file")),
        _ => Ok(()),
    }
}

/// Looks at a file.
pub(super) fn inspect(path: &Path) -> Result<TextFile> {
    let failed = |error: std::io::Error| cannot_read(path, &cause(&error));
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        let why = format!("it is a directory; to read the files in it, name `{}`", path.join("*").display());
        return Err(cannot_read(path, &why));
    }
    let special = !metadata.is_file();
    if !special {
        // A special file is not opened before it is read: to open a pipe may wait, and takes it from other readers.
        File::open(path).map_err(failed)?;
    }
    let compression = if special { None } else { Compression::of(path).map_err(|why| cannot_read(path, why))? };
    // Some files of the kernel say that they are empty and are not; how long the text of a compressed one is, nobody
    // says.
    let size = Some(metadata.len()).filter(|size| !special && compression.is_none() && *size > 0);
    Ok(TextFile { path: path.to_owned(), size, compression, special })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(paths: &[PathBuf]) -> String {
        resolve(paths).expect_err("cannot be read").to_string()
    }

    fn names(paths: &[PathBuf]) -> Vec<String> {
        let files = resolve(paths).expect("readable");
        files.iter().filter_map(|file| file.path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_cause() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("x.txt");
        let message = format!("cannot read `{}`: No such file or directory", missing.display());
        assert_eq!(error(&[missing]), message);

        let shown = directory.path().display();
        assert_eq!(
            error(&[directory.path().to_owned()]),
            format!("cannot read `{shown}`: it is a directory; to read the files in it, name `{shown}/*`")
        );

        let around = directory.path().join("around");
        std::os::unix::fs::symlink(&around, &around).expect("a link");
        assert!(error(&[around]).contains("around`: Too many levels of symbolic links"));

        assert!(error(&[directory.path().join("*.csv")]).ends_with("/*.csv`: the pattern matches no file"));
        assert!(error(&[directory.path().join("a[")]).contains("/a[`: not a valid pattern: "));
        assert_eq!(error(&[]), "no file to read was named; name at least one");
        assert_eq!(error(&[PathBuf::new()]), "a file to read has an empty name");
    }

    #[test]
    fn a_file_without_permission_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret.txt");
        fs::write(&path, "x").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("permissions");
        if File::open(&path).is_ok() {
            return; // Root reads everything.
        }
        assert!(error(&[path]).ends_with("secret.txt`: Permission denied"));
    }

    #[test]
    fn patterns_are_expanded_in_alphabetical_order() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["b.txt", "a.txt", ".hidden.txt", "c.csv", "wei[rd].txt", "weir.txt"] {
            fs::write(directory.path().join(name), name).expect("a file");
        }
        fs::create_dir(directory.path().join("d.txt")).expect("a directory");
        let at = |name: &str| directory.path().join(name);
        assert_eq!(names(&[at("c.csv"), at("?.txt")]), ["c.csv", "a.txt", "b.txt"]);
        assert_eq!(names(&[at("wei[rd].txt")]), ["wei[rd].txt"], "the file of that very name");
        assert_eq!(names(&[at("wei[r].txt")]), ["weir.txt"]);
        assert!(error(&[at("d.t?t")]).ends_with("the pattern matches directories only"));
    }

    #[test]
    fn sizes_are_known_of_regular_files_only() {
        let files = resolve(&["/dev/null".into(), "/proc/self/status".into()]).expect("readable");
        assert!(files[0].special && files[0].size.is_none());
        assert!(!files[1].special && files[1].size.is_none(), "it says that it is empty");
    }
}
