//! Many lines in one record.

use memchr::{Memchr, memchr_iter};
use serde::{Deserialize, Serialize};

/// Whole lines of one file, about 64 KiB of them: one allocation for a thousand lines.
///
/// ```
/// use skitter::operations::TextBlock;
///
/// let block = TextBlock::from("to be\r\n\nor not".to_owned());
/// assert_eq!(block.lines().collect::<Vec<_>>(), ["to be", "", "or not"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TextBlock(String);

impl TextBlock {
    /// The text, with its line ends as they stand in the file. Only the last line of a file may have none.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, without a copy.
    #[inline]
    pub fn into_string(self) -> String {
        self.0
    }

    /// The lines, without their line ends: LF, or CR and LF, as of [`str::lines`].
    #[inline]
    pub fn lines(&self) -> TextLines<'_> {
        TextLines::new(&self.0)
    }
}

impl From<String> for TextBlock {
    fn from(text: String) -> Self {
        TextBlock(text)
    }
}

impl AsRef<str> for TextBlock {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The lines of a [`TextBlock`]; as those of [`str::lines`], found several times as fast.
#[derive(Clone, Debug)]
pub struct TextLines<'a> {
    text: &'a str,
    ends: Memchr<'a>,
    at: usize,
}

impl<'a> TextLines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        TextLines { text, ends: memchr_iter(b'\n', text.as_bytes()), at: 0 }
    }

    /// How many bytes of the text the lines so far have taken, line ends included.
    pub(super) fn consumed(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for TextLines<'a> {
    type Item = &'a str;

    #[inline(always)]
    fn next(&mut self) -> Option<&'a str> {
        let Some(end) = self.ends.next() else {
            let rest = &self.text[self.at..];
            self.at = self.text.len();
            return if rest.is_empty() { None } else { Some(rest) };
        };
        let line = &self.text[self.at..end];
        self.at = end + 1;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}

impl std::iter::FusedIterator for TextLines<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_str() {
        for text in
            ["", "\n", "\r\n", "\r", "a", "a\n", "a\r", "a\r\n", "a\r\r\n", "a\n\nb", "\n\n", "ä\r\nö\rü\n", "a\rb"]
        {
            let lines: Vec<_> = TextLines::new(text).collect();
            assert_eq!(lines, text.lines().collect::<Vec<_>>(), "{text:?}");
        }
    }

    #[test]
    fn consumed_counts_line_ends() {
        let mut lines = TextLines::new("ab\r\nc\nde");
        let mut consumed = Vec::new();
        while lines.next().is_some() {
            consumed.push(lines.consumed());
        }
        assert_eq!(consumed, [4, 6, 8]);
    }
}
