//! Files for hosts, packed once for all of them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::{BoxFuture, FutureExt, Shared};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};
use tokio::sync::oneshot;

use crate::actor::{self, Census};

/// Bytes of a sum that tell one parcel from another.
const SHORT: usize = 8;

/// Of what a file's mode says, who may read, write and run it.
const PERMISSIONS: u32 = 0o777;

/// Most directories inside each other: more is a mistake, such as a directory that contains itself.
const MOST_DEPTH: usize = 64;

/// A parcel that is being packed, or why it cannot be; for as many as want it.
pub type Packing = Shared<BoxFuture<'static, Result<Parcel, String>>>;

/// Packs on a thread of its own, so that hosts can be logged in to meanwhile.
///
/// # Errors
/// When the system has no more threads.
pub fn packing(pack: impl FnOnce() -> io::Result<Parcel> + Send + 'static) -> io::Result<Packing> {
    let (tell, told) = oneshot::channel();
    let work = move || {
        // Nobody may want it any more.
        let _ = tell.send(pack().map_err(|error| format!("nothing can be packed here: {error}")));
    };
    actor::thread("skitter-pack".to_owned(), &Census::new(), work, drop)?;
    let packed = async move { told.await.unwrap_or_else(|_| Err("packing has failed".to_owned())) };
    Ok(packed.boxed().shared())
}

/// A tarball, and where it is to be unpacked. The same files give the same bytes.
#[derive(Clone, Debug)]
pub struct Parcel {
    place: String,
    sum: String,
    size: u64,
    file: Arc<File>,
}

impl Parcel {
    /// Packs files below a directory. They are to be at a place below the release's directory, whose name is made of
    /// the sum of all that is packed.
    ///
    /// # Errors
    /// When a file cannot be read or is none, or there is no room for the tarball.
    pub fn pack(root: &Path, files: &[String], place: impl FnOnce(&str) -> String) -> io::Result<Parcel> {
        // It is packed while hosts are logged in to, so that a smaller one costs nobody time.
        let out = Summing { out: BufWriter::new(tempfile::tempfile()?), hash: Sha256::new(), size: 0 };
        let mut tarball = tar::Builder::new(GzEncoder::new(out, Compression::default()));
        for file in files {
            let path = root.join(file);
            let at = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
            append(&mut tarball, &path, file).map_err(at)?;
        }
        let Summing { out, hash, size } = tarball.into_inner()?.finish()?;
        let sum: String = hash.finalize()[..SHORT].iter().map(|byte| format!("{byte:02x}")).collect();
        let file = Arc::new(out.into_inner().map_err(io::IntoInnerError::into_error)?);
        Ok(Parcel { place: place(&sum), sum, size, file })
    }

    /// Where it is to be unpacked, below the directory of the release.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What tells its bytes from others.
    pub fn sum(&self) -> &str {
        &self.sum
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads some of its bytes.
    ///
    /// # Errors
    /// Those of the file.
    pub fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(bytes, at)
    }
}

/// Adds a file, a directory or a link, of which nothing is told but its permissions.
fn append(tarball: &mut tar::Builder<impl Write>, path: &Path, name: &str) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let mut header = Header::new_gnu();
    header.set_mode(found.permissions().mode() & PERMISSIONS);
    header.set_size(0);
    if found.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        tarball.append_link(&mut header, name, fs::read_link(path)?)
    } else if found.is_dir() {
        header.set_entry_type(EntryType::Directory);
        tarball.append_data(&mut header, format!("{name}/"), io::empty())
    } else {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        header.set_size(size);
        // One that grows meanwhile is taken as it was.
        tarball.append_data(&mut header, name, file.take(size))
    }
}

/// All that is in a directory, by its path inside of it, in order: files, directories and links.
///
/// # Errors
/// When one cannot be read, is something else (a pipe, a socket, a device), or has a name that is not UTF-8.
pub fn files_in(root: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut directories = vec![(String::new(), 0)];
    while let Some((inside, depth)) = directories.pop() {
        for entry in fs::read_dir(root.join(&inside))? {
            let entry = entry?;
            let wrong = |what: &str| io::Error::other(format!("`{}` {what}", entry.path().display()));
            let name = entry.file_name().into_string().map_err(|_| wrong("has a name that is not UTF-8"))?;
            let (path, kind) = (format!("{inside}{name}"), entry.file_type()?);
            if kind.is_dir() {
                if depth == MOST_DEPTH {
                    return Err(wrong("is too deep inside"));
                }
                directories.push((format!("{path}/"), depth + 1));
            } else if !kind.is_file() && !kind.is_symlink() {
                return Err(wrong("is neither a file nor a directory nor a link"));
            }
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Adds up what is written.
struct Summing<W> {
    out: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn unpacked(parcel: &Parcel) -> tempfile::TempDir {
        let mut bytes = vec![0; parcel.size() as usize];
        assert_eq!(parcel.read_at(&mut bytes, 0).expect("readable"), bytes.len());
        let place = tempfile::tempdir().expect("a directory");
        tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice())).unpack(place.path()).expect("a tarball");
        place
    }

    #[test]
    fn a_directory_is_packed_with_all_that_is_in_it() {
        let root = tempfile::tempdir().expect("a directory");
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b")).expect("made");
        fs::create_dir(at("empty")).expect("made");
        fs::write(at("a/b/run"), "#!").expect("written");
        fs::set_permissions(at("a/b/run"), PermissionsExt::from_mode(0o700)).expect("ours");
        fs::write(at("x".repeat(200).as_str()), "long").expect("written");
        symlink("a/b/run", at("link")).expect("a link");
        let files = files_in(root.path()).expect("readable");
        assert_eq!(files[..5], ["a", "a/b", "a/b/run", "empty", "link"]);
        let pack = || Parcel::pack(root.path(), &files, |sum| format!("files/{sum}")).expect("packed");
        let parcel = pack();
        let there = unpacked(&parcel);
        assert_eq!(files_in(there.path()).expect("readable"), files);
        let run = fs::metadata(there.path().join("link")).expect("where it leads");
        assert_eq!(run.permissions().mode() & 0o777, 0o700, "what others may not read they may not read there");

        // When and by whom files were made makes no difference; what is in them does.
        fs::write(at("a/b/run"), "#!").expect("written");
        assert_eq!(pack().place(), parcel.place());
        fs::write(at("a/b/run"), "#?").expect("written");
        assert_ne!(pack().place(), parcel.place());
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let root = tempfile::tempdir().expect("a directory");
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("talk")).expect("a socket");
        let said = files_in(root.path()).expect_err("a socket").to_string();
        assert!(said.ends_with("talk` is neither a file nor a directory nor a link"), "{said}");
        let said = Parcel::pack(root.path(), &["none".to_owned()], str::to_owned).expect_err("nothing").to_string();
        assert!(said.contains("none`: "), "{said}");
    }
}
