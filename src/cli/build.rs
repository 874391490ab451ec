//! What tells a program from other builds of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::net::Fingerprint;

/// The running program, by a path that leads to it even when its file has been replaced.
const RUNNING: &str = "/proc/self/exe";

/// Bytes that are read at a time: few calls of the system, and they stay in the processor's cache.
const CHUNK: usize = 128 * 1024;

/// The fingerprint of the running program: the SHA-256 of its file. Takes some ten milliseconds.
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

fn digest_of(path: &Path) -> io::Result<Fingerprint> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
    File::open(path).and_then(digest).map_err(named)
}

fn digest(mut file: impl Read) -> io::Result<Fingerprint> {
    let mut chunk = vec![0; CHUNK];
    let mut hash = Sha256::new();
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Fingerprint(hash.finalize().into())),
            Ok(read) => hash.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha_256() {
        let found = digest(&b"abc"[..]).expect("it can be read").to_string();
        assert_eq!(found, "ba7816bf8f01cfea", "the example of FIPS 180-2");
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
