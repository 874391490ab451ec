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
