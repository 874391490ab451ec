//! Records of a fixed number of bytes, which every engine sends as one run of bytes.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Records of `N` bytes each.
#[derive(Clone, Debug, Default)]
pub struct Fixed<const N: usize>(pub Vec<[u8; N]>);

impl<const N: usize> Serialize for Fixed<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_flattened())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Fixed<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes<const N: usize>;

impl<const N: usize> Visitor<'_> for Bytes<N> {
    type Value = Fixed<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "records of {N} bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Fixed<N>, E> {
        match bytes.as_chunks() {
            (records, []) => Ok(Fixed(records.to_vec())),
            (_, rest) => Err(E::custom(format!("{} bytes too many for records of {N}", rest.len()))),
        }
    }
}

#[cfg(all(test, feature = "skitter"))]
mod tests {
    use skitter::codec::{decode_batch, encode_batch};

    use super::*;

    #[test]
    fn records_travel_as_they_are() {
        let (mut bytes, mut found) = (Vec::new(), Vec::new());
        encode_batch(&[Fixed(vec![[1, 2, 3], [4, 5, 6]]), Fixed(Vec::new())], &mut bytes).expect("written");
        decode_batch::<Fixed<3>>(&bytes, &mut found).expect("read");
        assert_eq!([&found[0].0[..], &found[1].0], [&[[1, 2, 3], [4, 5, 6]][..], &[]]);
        found.clear();
        assert!(decode_batch::<Fixed<4>>(&bytes, &mut Vec::new()).is_err());
    }
}
