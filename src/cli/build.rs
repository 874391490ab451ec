//! What tells a program from other builds of it.
//!
//! The BLAKE3 hash of all its bytes. A program has some ten MB, and nodes start while somebody waits: SHA-256 took
//! 130 ms for 22 MB on a processor without instructions for it, BLAKE3 8 ms, of which 3 were for reading.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::net::Fingerprint;

/// The running program, by a path that leads to it even when its file has been replaced.
const RUNNING: &str = "/proc/self/exe";

/// Bytes that are read at a time: as many as are hashed side by side, and they stay in the processor's cache.
const CHUNK: usize = 128 * 1024;

/// The fingerprint of the running program.
///
/// # Errors
/// When the file of the program cannot be read.
pub fn fingerprint() -> io::Result<Fingerprint> {
    match File::open(RUNNING) {
        Ok(file) => digest(file),
        // Not all systems have that path.
        Err(_) => digest_of(&std::env::current_exe()?),
    }
}

/// The fingerprint of a program in a file.
///
/// # Errors
/// When the file cannot be read; names it.
pub fn digest_of(path: &Path) -> io::Result<Fingerprint> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
    File::open(path).and_then(digest).map_err(named)
}

fn digest(mut file: impl Read) -> io::Result<Fingerprint> {
    let mut chunk = vec![0; CHUNK];
    let mut hash = blake3::Hasher::new();
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Fingerprint(*hash.finalize().as_bytes())),
            Ok(read) => {
                hash.update(&chunk[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_count() {
        let bytes: Vec<u8> = (0..2 * CHUNK + 1).map(|n| (n % 251) as u8).collect();
        let whole = digest(bytes.as_slice()).expect("it can be read");
        assert_eq!(whole.0, *blake3::hash(&bytes).as_bytes());
        for at in [0, CHUNK, 2 * CHUNK] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(digest(other.as_slice()).expect("it can be read"), whole);
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert_ne!(digest(longer.as_slice()).expect("it can be read"), whole);
    }

    #[test]
    fn a_program_has_one_fingerprint_and_another_program_another() {
        let own = fingerprint().expect("the program can be read");
        assert_eq!(fingerprint().expect("the program can be read"), own);
        let file = digest_of(&std::env::current_exe().expect("a path")).expect("the program can be read");
        assert_eq!(file, own);
        assert_ne!(digest(&b"abc"[..]).expect("it can be read"), own);
        let error = digest_of(Path::new("/nowhere/at all")).expect_err("no program").to_string();
        assert!(error.contains("`/nowhere/at all`"), "{error}");
    }
}
