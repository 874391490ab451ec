//! A way into the lines of the port mapper for bytes of any kind; see [`crate::fuzz`].

use super::wire::{Answer, MAX_LINE, Request, can_be_ours};

/// A mapper, and who asks one, hear a line of anything.
///
/// # Panics
/// When a line is taken that would not be written so.
pub fn lines(bytes: &[u8]) {
    let line = &bytes[..bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()).min(MAX_LINE)];
    let whole = [line, b"\n"].concat();
    if let Ok(request) = Request::read(line) {
        assert!(can_be_ours(line) && request.line().as_bytes() == whole, "{request:?}");
    }
    if let Ok(answer) = Answer::read(line) {
        assert!(can_be_ours(line), "{answer:?}");
        assert!(Answer::read(answer.line().trim_end().as_bytes()) == Ok(answer), "{answer:?}");
    }
}
