//! A record as what a message says.

use serde::Serialize;
use serde_json::Value;

use crate::workflow::{Error, Result};

/// Text as it is, all else as JSON.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn bytes<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    match serde_json::to_value(record) {
        Ok(Value::String(text)) => Ok(text.into_bytes()),
        Ok(other) => Ok(other.to_string().into_bytes()),
        Err(error) => Err(Error::Operation(format!("the record cannot be written as JSON: {error}"))),
    }
}

/// A record as JSON.
///
/// # Errors
/// When it cannot be written so.
#[cfg(feature = "http")]
pub(super) fn json<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(record)
        .map_err(|error| Error::Operation(format!("the record cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_written_as_it_is_and_all_else_as_json() {
        assert_eq!(bytes(&"a \"b\"").as_deref(), Ok(b"a \"b\"".as_slice()));
        assert_eq!(bytes(&(1, "x")).as_deref(), Ok(b"[1,\"x\"]".as_slice()));
    }
}
