//! A message as a record.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::workflow::{Error, Result};

/// A message of a topic of Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaMessage {
    /// The partition that it is in.
    pub partition: i32,
    /// Its number in the partition, from 0.
    pub offset: i64,
    /// When it was made, or taken in by the broker, as the topic has it: in milliseconds since 1970.
    pub timestamp: i64,
    /// By what its partition was chosen, if it has a key.
    pub key: Option<Vec<u8>>,
    /// Its headers, by name. Of several with one name it has the last.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What it says; none says, in a topic that is compacted, that its key is gone.
    pub payload: Option<Vec<u8>>,
}

impl KafkaMessage {
    /// The payload as text; none if there is none, or it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.payload.as_deref()?).ok()
    }

    /// The key as text; none if there is none, or it is not UTF-8.
    pub fn key_text(&self) -> Option<&str> {
        std::str::from_utf8(self.key.as_deref()?).ok()
    }

    /// The payload as a value that was written as JSON.
    ///
    /// # Errors
    /// When there is no payload, or it is not JSON of such a value. The error says where the message is, and nothing of
    /// what is in it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let KafkaMessage { partition, offset, .. } = self;
        let wrong = |why: &str| {
            Error::Operation(format!("message {offset} of partition {partition} is not the JSON expected: {why}"))
        };
        let payload = self.payload.as_deref().ok_or_else(|| wrong("it has no payload"))?;
        serde_json::from_slice(payload).map_err(|error| wrong(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: Option<&[u8]>) -> KafkaMessage {
        let payload = payload.map(<[u8]>::to_vec);
        KafkaMessage { partition: 2, offset: 7, timestamp: 0, key: Some(b"k".to_vec()), headers: Vec::new(), payload }
    }

    #[test]
    fn a_payload_is_read_as_what_it_is() {
        let found = message(Some(b"[1,\"x\"]"));
        assert_eq!((found.text(), found.key_text()), (Some("[1,\"x\"]"), Some("k")));
        assert_eq!(found.json(), Ok((1, "x".to_owned())));
        assert_eq!(message(Some(&[0xff])).text(), None);
        for wrong in [message(None), message(Some(b"[1"))] {
            let error = wrong.json::<(i32, String)>().expect_err("no JSON").to_string();
            assert!(error.contains("message 7 of partition 2"), "{error}");
        }
    }
}
