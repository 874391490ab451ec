//! Why Kafka has not done something, and what can be done about it.

use std::error::Error as _;

use rskafka::ConnectionError;
use rskafka::client::error::{Error, ProtocolError, RequestContext, RequestError};

/// Why something was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is refused, and would be again.
    Refused(String),
    /// There is no such topic: refused at the start, and waited for later, as a broker that starts knows of none.
    Unknown(String),
    /// Who would do it is away.
    Away(String),
    /// What was asked for is not in the partition.
    OutOfRange,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::of(&error)
    }
}

impl Trouble {
    fn of(error: &Error) -> Self {
        match error {
            // Attempts are counted elsewhere, so this is the first one, wrapped.
            Error::RetryFailed(failed) => match failed.source().and_then(|source| source.downcast_ref()) {
                Some(source) => Trouble::of(source),
                None => Trouble::Away(failed.to_string()),
            },
            Error::ServerError { protocol_error, request, .. } => Trouble::answered(*protocol_error, request),
            Error::Request(RequestError::NoVersionMatch { api_key }) => Trouble::Refused(format!(
                "the broker and this client have no version of the request {api_key:?} in common; a broker from \
                 version 0.11 on is needed"
            )),
            Error::Connection(error) => Trouble::connecting(error),
            other => Trouble::Away(other.to_string()),
        }
    }

    /// What an error code of a broker means.
    fn answered(code: ProtocolError, request: &RequestContext) -> Self {
        use ProtocolError as Code;
        let of = match request {
            RequestContext::Topic(topic) => format!("topic `{topic}`"),
            RequestContext::Partition(topic, partition) => format!("partition {partition} of topic `{topic}`"),
            RequestContext::Fetch { topic_name, partition_id, .. } => {
                format!("partition {partition_id} of topic `{topic_name}`")
            }
            other => format!("{other:?}"),
        };
        match code {
            Code::OffsetOutOfRange => Trouble::OutOfRange,
            Code::UnknownTopicOrPartition => Trouble::Unknown(format!("there is no {of}; create it first")),
            Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => Trouble::Refused(format!(
                "the user is not authorized for {of}; give it an ACL (Read and Describe for a source, Write and \
                 Describe for a sink)"
            )),
            Code::SaslAuthenticationFailed | Code::UnsupportedSaslMechanism | Code::IllegalSaslState => {
                Trouble::Refused(format!("it refuses the login ({code:?}); check user, password and mechanism"))
            }
            Code::MessageTooLarge | Code::RecordListTooLarge => Trouble::Refused(format!(
                "a message is larger than {of} allows; make it smaller, or raise `max.message.bytes` of the topic"
            )),
            Code::InvalidTopicException
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::PolicyViolation
            | Code::InvalidRequest
            | Code::UnsupportedVersion
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType => Trouble::Refused(format!("{of}: {code:?}")),
            Code::LeaderNotAvailable | Code::NotLeaderOrFollower => {
                Trouble::Away(format!("{of} has no leader now; are the brokers of its replicas up?"))
            }
            Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
                Trouble::Away(format!("{of} has fewer replicas in sync than `min.insync.replicas`"))
            }
            other => Trouble::Away(format!("{of}: {other:?}")),
        }
    }

    /// What it means that there is no connection. The client keeps the reasons of all brokers that it has tried as
    /// text alone.
    fn connecting(error: &ConnectionError) -> Self {
        let text = match error {
            ConnectionError::RetryFailed(failed) => {
                failed.source().map_or_else(|| failed.to_string(), |e| e.to_string())
            }
            other => other.to_string(),
        };
        let refused = ["API error", "Sasl session error", "unsupported sasl mechanism", "invalid peer certificate"];
        if refused.iter().any(|reason| text.contains(reason)) { Trouble::Refused(text) } else { Trouble::Away(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_what_to_do() {
        let at = RequestContext::Partition("orders".to_owned(), 3);
        let told = |code| match Trouble::answered(code, &at) {
            Trouble::Refused(why) => format!("refused: {why}"),
            Trouble::Unknown(why) => format!("unknown: {why}"),
            Trouble::Away(why) => format!("away: {why}"),
            Trouble::OutOfRange => "out of range".to_owned(),
        };
        for (code, parts) in [
            (ProtocolError::UnknownTopicOrPartition, ["unknown: ", "no partition 3 of topic `orders`", "create it"]),
            (ProtocolError::TopicAuthorizationFailed, ["refused: ", "partition 3 of topic `orders`", "ACL"]),
            (ProtocolError::LeaderNotAvailable, ["away: ", "partition 3 of topic `orders` has no leader", "brokers"]),
            (ProtocolError::MessageTooLarge, ["refused: ", "larger than partition 3", "max.message.bytes"]),
            (ProtocolError::NotEnoughReplicas, ["away: ", "partition 3 of topic `orders`", "min.insync.replicas"]),
            (ProtocolError::SaslAuthenticationFailed, ["refused: ", "login", "password"]),
        ] {
            let told = told(code);
            assert!(told.starts_with(parts[0]) && parts.iter().all(|part| told.contains(part)), "{told}");
        }
        assert_eq!(Trouble::answered(ProtocolError::OffsetOutOfRange, &at), Trouble::OutOfRange);
    }
}
