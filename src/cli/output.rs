//! What commands write to stdout and stderr.

use std::error::Error;
use std::io::{self, Write};

use super::failure::Failure;

/// Writes to stdout.
///
/// # Errors
/// [`Failure::OutputClosed`] when nobody reads it any more.
pub fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|source| match source.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Output { path: None, source },
    })
}

/// Says something of the program itself on stderr, as far as somebody reads it.
pub fn say(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Says an error and what caused it on stderr, as far as somebody reads it.
pub fn complain(error: &dyn Error) {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors say their cause, others leave it to whoever shows them.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text.push('\n');
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes to stderr what another process has said, as far as somebody reads it.
pub fn pass_on(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
