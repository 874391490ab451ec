//! An event as a line of text.

use std::fmt::{self, Write};

use jiff::Zoned;
use serde_json::Value;
use tracing::Level;
use tracing::field::{Field, Visit};

/// The message of an event and its fields.
#[derive(Debug, Default)]
pub(super) struct Content {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Content {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => self.fields.push((name, value)),
        }
    }

    /// Leaves the message alone.
    pub fn drop_fields(&mut self) {
        self.fields.clear();
    }

    /// `[HH:MM:SS.mmm][level] message key=value…`. Further lines of a message are indented and control characters
    /// escaped, so that nothing in a message can pass for a line of its own, or for an order to the terminal.
    pub fn text(&self, now: &Zoned, level: Level) -> String {
        let time = format_args!("{:02}:{:02}:{:02}.{:03}", now.hour(), now.minute(), now.second(), now.millisecond())
            .to_string();
        let mut line = format!("[{time}][{}] ", name(level));
        for c in self.message.trim_end().chars() {
            match c {
                '\n' => line.push_str("\n    "),
                '\t' => line.push(c),
                c if c.is_control() => line.extend(c.escape_default()),
                c => line.push(c),
            }
        }
        for (name, value) in &self.fields {
            // Writing to a string does not fail.
            let _ = match value {
                Value::String(text) if is_plain(text) => write!(line, " {name}={text}"),
                Value::String(text) => write!(line, " {name}={text:?}"),
                value => write!(line, " {name}={value}"),
            };
        }
        line.push('\n');
        line
    }

    /// One JSON object: time, level, target, message, then the fields, in this order.
    pub fn json(&self, now: &Zoned, level: Level, target: &str) -> String {
        let time = now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
        let head = [("time", time.as_str()), ("level", name(level)), ("target", target), ("message", &self.message)];
        let mut line = String::from("{");
        for (name, value) in head {
            push(&mut line, name, &value.into());
        }
        for (name, value) in self.fields.iter().filter(|(name, _)| head.iter().all(|(taken, _)| taken != name)) {
            push(&mut line, name, value);
        }
        line.push_str("}\n");
        line
    }
}

/// Adds `"name":value` to a JSON object.
fn push(line: &mut String, name: &str, value: &Value) {
    let comma = if line.len() > 1 { "," } else { "" };
    // Writing to a string does not fail.
    let _ = write!(line, "{comma}{}:{value}", Value::from(name));
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '='))
}

impl Visit for Content {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::String(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(message: &str, fields: &[(&'static str, Value)]) -> Content {
        Content { message: message.to_owned(), fields: fields.to_vec() }
    }

    fn now() -> Zoned {
        "2024-02-03T20:05:21.629999+01:00[Europe/Brussels]"
            .parse::<Zoned>()
            .or_else(|_| "2024-02-03T20:05:21.629999+01:00[+01:00]".parse())
            .expect("a time")
    }

    #[test]
    fn a_line_has_time_level_message_and_fields() {
        let content = content(
            "Reading",
            &[("file", "a b.txt".into()), ("bytes", 12.into()), ("kind", "text".into()), ("none", "".into())],
        );
        let line = content.text(&now(), Level::INFO);
        assert_eq!(line, "[20:05:21.629][info] Reading file=\"a b.txt\" bytes=12 kind=text none=\"\"\n");
    }

    #[test]
    fn a_message_cannot_pass_for_two_lines() {
        let line = content("one\n[00:00:00.000][info] two\x1b[2J\n", &[]).text(&now(), Level::ERROR);
        assert_eq!(line, "[20:05:21.629][error] one\n    [00:00:00.000][info] two\\u{1b}[2J\n");
    }

    #[test]
    fn json_has_everything_by_name() {
        let content = content("Deploying `x`", &[("workflow", "x".into()), ("level", "mine".into())]);
        let line = content.json(&now(), Level::WARN, "skitter::event");
        let object: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(object["time"], "2024-02-03T20:05:21.629+01:00");
        assert_eq!((&object["level"], &object["workflow"]), (&"warn".into(), &"x".into()));
        assert!(line.starts_with("{\"time\":") && line.ends_with("}\n") && line.matches('\n').count() == 1, "{line}");
    }
}
