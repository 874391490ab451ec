//! Sums that find bytes that have changed by accident. They protect from no one: who can write to a store can write
//! sums.

use crc32fast::Hasher;

/// The CRC-32 (ISO-HDLC) of all parts, one behind the other.
pub fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_specified() {
        assert_eq!(checksum(&[b"123456789"]), 0xcbf4_3926, "golden");
        assert_eq!(checksum(&[b"1234", b"", b"56789"]), 0xcbf4_3926);
    }
}
