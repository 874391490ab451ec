//! What is larger than it should be in memory, in a file without a name.

use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;

/// Where the file is, unless `TMPDIR` names another place: `/tmp` is in memory on many systems.
const PLACE: &str = "/var/tmp";

/// The same bytes, in a file that ends with the last of them: the system may take the memory back that they are read
/// into.
///
/// # Errors
/// When the file cannot be written.
pub fn spool(bytes: &[u8]) -> io::Result<Bytes> {
    let place = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from(PLACE), PathBuf::from);
    let mut file = tempfile::tempfile_in(place)?;
    file.write_all(bytes)?;
    // SAFETY: What is mapped must not change as long as somebody has it. The file was made just now, readable and
    // writable by this user alone, and has no name by which it could be opened; this function has its only descriptor,
    // writes nothing any more, and closes it. The map ends with the last of the bytes, whose owner it is.
    #[expect(unsafe_code, reason = "a file that nobody else can reach does not change")]
    let map = unsafe { memmap2::Mmap::map(&file) }?;
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_what_they_were_and_outlive_the_file() {
        let bytes: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
        let spooled = spool(&bytes).expect("a file");
        let part = spooled.slice(4..400);
        assert!(spooled == bytes);
        drop(spooled);
        assert_eq!(part, bytes[4..400]);
    }

    #[test]
    fn nothing_is_something() {
        assert!(spool(&[]).expect("a file").is_empty());
    }
}
