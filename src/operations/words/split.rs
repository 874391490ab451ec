//! Finds white space many bytes at a time.

/// A byte in each place of a word of eight.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The highest bit of each byte: where flags stand.
const HIGH: u64 = each(0x80);

/// The words of a text: the same as those of [`str::split_whitespace`].
///
/// White space is found eight bytes at a time, with the comparisons of bytes within a word that are described in
/// H. S. Warren, *Hacker's Delight*, chapter 6, and noted for 64 bytes, so that the loop over the words of those has
/// few branches that a processor cannot foresee. Linear in the bytes of the text.
///
/// ```
/// use skitter::operations::WordsOf;
///
/// assert_eq!(WordsOf::new("  to be\u{3000}or\n").collect::<Vec<_>>(), ["to", "be", "or"]);
/// ```
#[derive(Clone, Debug)]
pub struct WordsOf<'a> {
    text: &'a str,
    /// Where the word at hand begins, if it is one.
    word: usize,
    /// Where the 64 bytes at hand begin.
    begin: usize,
    /// A bit for each of them that may be white space and has not been passed.
    marks: u64,
}

/// A bit for each of eight bytes that may be white space: ASCII white space, and bytes that other white space begins
/// with.
#[inline(always)]
fn marks(bytes: [u8; 8]) -> u64 {
    let bytes = u64::from_le_bytes(bytes);
    let low = bytes & !HIGH;
    // In each byte, the highest bit of a sum says whether the byte is at least 128 less what is added.
    let other_than_space = (low ^ each(b' ')) + each(0x7f);
    let control = (low + each(0x80 - b'\t')) & !(low + each(0x7f - b'\r'));
    let mut flags = (!other_than_space | control) & !bytes & HIGH;
    if bytes & HIGH != 0 {
        // Lead bytes 0xc2 and 0xe1 to 0xe3.
        let other_than_c2 = (low ^ each(0x42)) + each(0x7f);
        let e1_to_e3 = (low + each(0x80 - 0x61)) & !(low + each(0x7f - 0x63));
        flags |= (!other_than_c2 | e1_to_e3) & bytes & HIGH;
    }
    // Brings the flag of byte `n` to bit `56 + n`.
    (flags >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl<'a> WordsOf<'a> {
    /// The words of this text.
    pub fn new(text: &'a str) -> Self {
        let mut words = WordsOf { text, word: 0, begin: 0, marks: 0 };
        words.look();
        words
    }

    /// Marks the bytes at hand. Behind the end of the text is a mark.
    #[inline(always)]
    fn look(&mut self) {
        let rest = self.text.as_bytes().get(self.begin..).unwrap_or_default();
        let Some(bytes) = rest.first_chunk::<64>() else { return self.look_at_end() };
        self.marks = 0;
        for (eight, bytes) in bytes.as_chunks::<8>().0.iter().enumerate() {
            self.marks |= marks(*bytes) << (8 * eight);
        }
    }

    fn look_at_end(&mut self) {
        let (eights, rest) = self.text.as_bytes().get(self.begin..).unwrap_or_default().as_chunks::<8>();
        let mut last = [b' '; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.marks = 0;
        for (eight, bytes) in eights.iter().chain([&last]).enumerate() {
            self.marks |= marks(*bytes) << (8 * eight);
        }
    }

    /// How many bytes of white space stand here.
    #[inline(always)]
    fn white(&self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        if bytes[at] < 0x80 { 1 } else { self.wide_white(at) }
    }

    #[cold]
    fn wide_white(&self, at: usize) -> usize {
        let character = self.text.get(at..).and_then(|rest| rest.chars().next());
        character.filter(|character| character.is_whitespace()).map_or(0, char::len_utf8)
    }
}

impl<'a> Iterator for WordsOf<'a> {
    type Item = &'a str;

    #[inline(always)]
    fn next(&mut self) -> Option<&'a str> {
        loop {
            while self.marks == 0 {
                self.begin += 64;
                self.look();
            }
            let at = self.begin + self.marks.trailing_zeros() as usize;
            if at >= self.text.len() {
                let last = &self.text[self.word..];
                self.word = self.text.len();
                return if last.is_empty() { None } else { Some(last) };
            }
            self.marks &= self.marks - 1;
            let white = self.white(at);
            if white == 0 {
                continue;
            }
            let word = &self.text[self.word..at];
            self.word = at + white;
            if !word.is_empty() {
                return Some(word);
            }
        }
    }
}

impl std::iter::FusedIterator for WordsOf<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_character_is_told_as_white_space_or_not() {
        for character in '\0'..=char::MAX {
            let text = format!("ab{character}cd");
            let same = WordsOf::new(&text).eq(text.split_whitespace());
            assert!(same, "{character:?}");
        }
    }

    #[test]
    fn the_end_is_the_end() {
        for text in ["", " ", "a", "a ", " a", "12345678", "1234567 ", "1234567 9", "        ", "ä", "\u{3000}"] {
            let mut words = WordsOf::new(text);
            assert!(words.by_ref().eq(text.split_whitespace()), "{text:?}");
            assert!(words.next().is_none() && words.next().is_none());
        }
    }

    /// Words of all lengths, white space of all kinds, and what looks like it.
    const ANY_TEXT: &str = "([a-z]{1,12}|[a-z]{50,70}|[ \t\n\r\u{b}\u{c}\u{1c}\0\u{7f}!-~]|\\PC|\u{85}|\u{a0}|[¡-ÿ]|\
                            [\u{2000}-\u{2030}]|\u{3000}|\u{e000}){0,40}";

    proptest! {
        #[test]
        fn words_are_those_of_str(text in ANY_TEXT) {
            prop_assert_eq!(WordsOf::new(&text).collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
        }
    }
}
