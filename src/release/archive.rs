//! A tarball: the same files give the same bytes.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

/// What a tarball's header says of its system when it says nothing, by RFC 1952.
const NO_SYSTEM: u8 = 255;

/// A file of a release.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path inside of the release, with `/`.
    pub path: String,
    /// Whether it is a program.
    pub executable: bool,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Writes files below a directory `top`, in order of their paths, all changed at `time`, in seconds since 1970, and
/// owned by root.
///
/// # Errors
/// When a path is too long for a tarball, and those of `out`.
pub fn write<W: Write>(out: W, top: &str, files: &[File], time: u64) -> io::Result<W> {
    let gzip = GzBuilder::new().operating_system(NO_SYSTEM).write(out, Compression::best());
    let mut tarball = tar::Builder::new(gzip);
    let mut files: Vec<&File> = files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in files {
        let mut header = Header::new_ustar();
        header.set_path(format!("{top}/{}", file.path))?;
        header.set_entry_type(EntryType::Regular);
        header.set_mode(if file.executable { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(time);
        header.set_size(file.bytes.len() as u64);
        header.set_cksum();
        tarball.append(&header, file.bytes.as_slice())?;
    }
    tarball.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, executable: bool, text: &str) -> File {
        File { path: path.to_owned(), executable, bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn the_order_of_files_changes_nothing() {
        let (a, b) = (file("a", true, "1"), file("b/c", false, "2"));
        let one = write(Vec::new(), "x-1", &[a.clone(), b.clone()], 7).expect("a tarball");
        assert_eq!(write(Vec::new(), "x-1", &[b.clone(), a.clone()], 7).expect("a tarball"), one);
        assert_ne!(write(Vec::new(), "x-1", &[a, b], 8).expect("a tarball"), one);
        // A gzip header without a time, a name, or a system.
        assert_eq!(one[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, NO_SYSTEM]);
    }

    #[test]
    fn headers_say_nothing_of_who_made_them() {
        let bytes = write(Vec::new(), "x-1", &[file("bin/a", true, "1"), file("b", false, "2")], 7).expect("a tarball");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let mut seen = Vec::new();
        for entry in archive.entries().expect("entries") {
            let entry = entry.expect("an entry");
            let header = entry.header();
            let owner = (header.uid().ok(), header.gid().ok(), header.username().ok(), header.mtime().ok());
            assert_eq!(owner, (Some(0), Some(0), Some(Some("")), Some(7)));
            seen.push((entry.path().expect("a path").display().to_string(), header.mode().ok()));
        }
        assert_eq!(seen, [("x-1/b".to_owned(), Some(0o644)), ("x-1/bin/a".to_owned(), Some(0o755))]);
    }

    #[test]
    fn a_path_that_does_not_fit_is_an_error() {
        let long = "x".repeat(300);
        assert!(write(Vec::new(), "x-1", &[file(&long, true, "1")], 7).is_err());
    }
}
