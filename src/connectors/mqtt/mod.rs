//! MQTT: messages in and out.

mod broker;
mod sink;
mod source;

pub use sink::{MqttSink, MqttWriter};
pub use source::{MqttMessage, MqttSource};

/// The schemes of its URLs; the second is over TLS.
const SCHEMES: &[&str] = &["mqtt", "mqtts"];
