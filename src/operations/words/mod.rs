//! The words of a text.

mod split;

use std::marker::PhantomData;

pub use split::WordsOf;

use crate::strategies::Chained;
use crate::workflow::{Behind, Chain, Emit, Operation, OutPort, React, Result, Stream};

/// Gives the words of each text: what stands between white space, as by [`str::split_whitespace`], but found several
/// times as fast. A text is a line or a [`TextBlock`](super::TextBlock); a word is made of its characters in whatever
/// form holds them: `String`, `CompactString`, `Arc<str>`.
pub struct Words<T, W> {
    types: PhantomData<fn(T) -> W>,
}

impl<T, W> Words<T, W> {
    /// An operation that gives the words of each text.
    pub fn new() -> Self {
        Words { types: PhantomData }
    }
}

impl<T, W> Default for Words<T, W> {
    fn default() -> Self {
        Words::new()
    }
}

impl<T, W> Clone for Words<T, W> {
    fn clone(&self) -> Self {
        Words::new()
    }
}

impl<T, W> std::fmt::Debug for Words<T, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Words")
    }
}

impl<T: Send + 'static, W: Send + 'static> Operation for Words<T, W> {
    type In = T;
    type Out = W;
    const NAME: &'static str = "words";
}

impl<T, W> React for Words<T, W>
where
    T: AsRef<str> + Send + 'static,
    W: for<'a> From<&'a str> + Send + 'static,
{
    type State = ();

    fn init(&self) {}

    #[inline(always)]
    fn react<E: Emit<W>>(&self, _state: &mut (), text: T, emit: &mut E) -> Result<()> {
        for word in WordsOf::new(text.as_ref()) {
            emit.emit(W::from(word));
        }
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Gives the words of each line or block of lines, told apart by white space; see [`Words`].
    ///
    /// ```
    /// let lines = vec!["to be  or".to_owned(), "not".to_owned()];
    /// let words = skitter::testing::run(lines, |lines| lines.words::<String>())?;
    /// assert_eq!(words, ["to", "be", "or", "not"]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn words<W>(self) -> Stream<Behind<C, P, Words<P::Record, W>, Chained>>
    where
        P::Record: AsRef<str> + Send,
        W: for<'a> From<&'a str> + Send + 'static,
    {
        self.vertex(Words::new(), Chained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::TextBlock;

    #[test]
    fn the_words_of_lines_and_blocks_are_emitted() {
        let mut words: Vec<String> = Vec::new();
        Words::new().react(&mut (), " a b\n".to_owned(), &mut words).expect("words");
        Words::new().react(&mut (), TextBlock::from("c\r\n\nd".to_owned()), &mut words).expect("words");
        assert_eq!(words, ["a", "b", "c", "d"]);
    }
}
