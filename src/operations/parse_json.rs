//! Lines of JSON, as records.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::strategies::Chained;
use crate::workflow::{Behind, Chain, Emit, Error, Operation, OutPort, React, Result, Stream};

/// How much of a line that is no record is shown, in characters: enough to find it by.
const MOST_SHOWN: usize = 60;

/// Makes a record of each text in JSON, as serde says: of a line of JSON lines, of a message. The other way is
/// [`write_json_lines`](Stream::write_json_lines).
///
/// A text that is no such record fails the operation, with what is wrong where; `--on-error skip` and `dead-letter` are
/// for those.
pub struct ParseJson<S, T> {
    types: PhantomData<fn(S) -> T>,
}

impl<S, T> ParseJson<S, T> {
    /// An operation that makes records of texts.
    pub fn new() -> Self {
        ParseJson { types: PhantomData }
    }
}

impl<S, T> Default for ParseJson<S, T> {
    fn default() -> Self {
        ParseJson::new()
    }
}

impl<S, T> Clone for ParseJson<S, T> {
    fn clone(&self) -> Self {
        ParseJson::new()
    }
}

impl<S, T> std::fmt::Debug for ParseJson<S, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ParseJson")
    }
}

impl<S: Send + 'static, T: Send + 'static> Operation for ParseJson<S, T> {
    type In = S;
    type Out = T;
    const NAME: &'static str = "parse json";
}

impl<S: AsRef<str> + Send + 'static, T: DeserializeOwned + Send + 'static> React for ParseJson<S, T> {
    type State = ();
    const ONE_TO_ONE: bool = true;

    fn init(&self) {}

    #[inline(always)]
    fn react<E: Emit<T>>(&self, _state: &mut (), text: S, emit: &mut E) -> Result<()> {
        let text = text.as_ref();
        emit.emit(serde_json::from_str(text).map_err(|error| not_a_record(text, &error))?);
        Ok(())
    }
}

/// What is wrong with a text.
pub(super) fn not_a_record(text: &str, error: &dyn std::fmt::Display) -> Error {
    let shown: String = text.chars().take(MOST_SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    Error::Operation(format!("`{shown}{more}` is no such record: {error}"))
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Makes a record of each text in JSON; see [`ParseJson`].
    ///
    /// ```
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Click {
    ///     page: String,
    /// }
    ///
    /// let lines = vec![r#"{"page": "a"}"#.to_owned(), r#"{"page": "b", "ms": 7}"#.to_owned()];
    /// let pages = skitter::testing::run(lines, |lines| lines.parse_json().map(|click: Click| click.page))?;
    /// assert_eq!(pages, ["a", "b"]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn parse_json<T>(self) -> Stream<Behind<C, P, ParseJson<P::Record, T>, Chained>>
    where
        P::Record: AsRef<str> + Send,
        T: DeserializeOwned + Send + 'static,
    {
        self.vertex(ParseJson::new(), Chained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_record_is_shown_with_what_is_wrong() {
        let react = |text: &'static str| {
            let mut records = Vec::new();
            ParseJson::<&str, (u64, String)>::new().react(&mut (), text, &mut records).map(|()| records)
        };
        assert_eq!(react("[1, \"x\"]"), Ok(vec![(1, "x".to_owned())]));
        let error = react("[1, 2]").expect_err("no text").to_string();
        assert!(error.starts_with("`[1, 2]` is no such record: invalid type: integer `2`"), "{error}");
        assert!(react("").is_err());
        let long = "\u{e4}".repeat(100);
        assert!(not_a_record(&long, &"x").to_string().contains(&format!("`{}…`", "ä".repeat(60))));
    }
}
