//! Lines out of bytes that come in pieces.

use memchr::memchr;

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    #[error("the line at byte {at} is longer than {longest} bytes")]
    TooLong { at: u64, longest: u64 },
    #[error("not valid UTF-8 at byte {0}; read it lossily, or have it sent as UTF-8")]
    NotUtf8(u64),
}

/// Puts lines together.
#[derive(Debug)]
pub(super) struct LineAssembler {
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// How many bytes there have been before it.
    at: u64,
    longest: u64,
    lossy: bool,
}

impl LineAssembler {
    pub fn new(longest: u64, lossy: bool) -> Self {
        LineAssembler { partial: Vec::new(), at: 0, longest, lossy }
    }

    /// Adds bytes, and gives the lines that are complete now.
    pub fn push(&mut self, mut bytes: &[u8], lines: &mut Vec<String>) -> Result<(), LineError> {
        while let Some(end) = memchr(b'\n', bytes) {
            let rest = &bytes[..end];
            if self.partial.is_empty() {
                lines.push(self.line(rest.strip_suffix(b"\r").unwrap_or(rest).to_vec())?);
                self.at += end as u64 + 1;
            } else {
                self.partial.extend_from_slice(rest);
                let mut line = std::mem::take(&mut self.partial);
                let length = line.len() as u64 + 1;
                line.pop_if(|last| *last == b'\r');
                lines.push(self.line(line)?);
                self.at += length;
            }
            bytes = &bytes[end + 1..];
        }
        self.partial.extend_from_slice(bytes);
        // A CR at its end may be part of the line end.
        if self.partial.len() as u64 > self.longest.saturating_add(1) { Err(self.too_long()) } else { Ok(()) }
    }

    /// The last line, if it has no end.
    pub fn finish(&mut self) -> Result<Option<String>, LineError> {
        let tail = std::mem::take(&mut self.partial);
        if tail.is_empty() { Ok(None) } else { self.line(tail).map(Some) }
    }

    fn too_long(&self) -> LineError {
        LineError::TooLong { at: self.at, longest: self.longest }
    }

    fn line(&self, line: Vec<u8>) -> Result<String, LineError> {
        if line.len() as u64 > self.longest {
            return Err(self.too_long());
        }
        String::from_utf8(line).or_else(|error| {
            if self.lossy {
                Ok(String::from_utf8_lossy(error.as_bytes()).into_owned())
            } else {
                Err(LineError::NotUtf8(self.at + error.utf8_error().valid_up_to() as u64))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assemble(pieces: &[&[u8]], longest: u64, lossy: bool) -> Result<Vec<String>, LineError> {
        let mut assembler = LineAssembler::new(longest, lossy);
        let mut lines = Vec::new();
        for piece in pieces {
            assembler.push(piece, &mut lines)?;
        }
        lines.extend(assembler.finish()?);
        Ok(lines)
    }

    proptest! {
        /// However the bytes come in, the lines are those of the text.
        #[test]
        fn lines_are_those_of_the_text(text in "([a-c]{0,9}|ä|\r|\r\n|\n){0,20}", piece in 1usize..9) {
            let pieces: Vec<_> = text.as_bytes().chunks(piece).collect();
            let lines = assemble(&pieces, 1000, false).expect("valid");
            prop_assert_eq!(lines, text.lines().collect::<Vec<_>>());
        }
    }

    #[test]
    fn lines_up_to_the_longest_pass() {
        let too_long = |at| Err(LineError::TooLong { at, longest: 3 });
        assert_eq!(assemble(&[b"abc\r", b"\nabc\nabc"], 3, false).expect("lines"), ["abc", "abc", "abc"]);
        assert_eq!(assemble(&[b"ab\nabcd\n"], 3, false), too_long(3));
        assert_eq!(assemble(&[b"abc", b"d\n"], 3, false), too_long(0));
        assert_eq!(assemble(&[b"ab\n", b"abcd"], 3, false), too_long(3));
        let mut assembler = LineAssembler::new(3, false);
        assert!(assembler.push(b"abcde", &mut Vec::new()).is_err(), "before it has ended");
    }

    #[test]
    fn invalid_bytes_are_found_or_replaced() {
        let pieces: [&[u8]; 2] = [b"ab\nc", b"d\xff\ne\n"];
        assert_eq!(assemble(&pieces, 9, false), Err(LineError::NotUtf8(5)));
        assert_eq!(assemble(&pieces, 9, true).expect("lines"), ["ab", "cd\u{fffd}", "e"]);
        assert_eq!(assemble(&[b"x\xc3"], 9, false), Err(LineError::NotUtf8(1)));
    }
}
