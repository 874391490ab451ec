//! Lines of comma-separated values, as records.

use std::marker::PhantomData;
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord};
use serde::de::DeserializeOwned;

use super::parse_json::not_a_record;
use crate::strategies::Chained;
use crate::workflow::{Behind, Chain, Emit, Error, Operation, OutPort, React, Result, Stream};

/// The least memory for a line that is taken apart, in bytes.
const LEAST_BUFFER: usize = 64;

/// Makes a record of each line of comma-separated values (RFC 4180), as serde says: a tuple or struct has its fields in
/// their order, unless they are [named](Self::columns). The other way is [`write_csv`](Stream::write_csv).
///
/// A line that is no such record fails the operation, with what is wrong where; `--on-error skip` and `dead-letter` are
/// for those. A field with a line end in it has been cut by whoever made lines of the text, and is an error.
pub struct ParseCsv<S, T> {
    columns: Option<Arc<StringRecord>>,
    delimiter: u8,
    types: PhantomData<fn(S) -> T>,
}

impl<S, T> ParseCsv<S, T> {
    /// An operation that makes records of lines.
    pub fn new() -> Self {
        ParseCsv { columns: None, delimiter: b',', types: PhantomData }
    }

    /// The lines have these columns: a struct or map has its fields by these names, in whatever order. A line that is
    /// the names, as the first of a file often is, is left out.
    #[must_use]
    pub fn columns(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut columns = StringRecord::new();
        names.into_iter().for_each(|name| columns.push_field(name.as_ref()));
        self.columns = Some(Arc::new(columns));
        self
    }

    /// What fields are told apart by: a comma unless set; an ASCII character.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }
}

impl<S, T> Default for ParseCsv<S, T> {
    fn default() -> Self {
        ParseCsv::new()
    }
}

impl<S, T> Clone for ParseCsv<S, T> {
    fn clone(&self) -> Self {
        ParseCsv { columns: self.columns.clone(), delimiter: self.delimiter, types: PhantomData }
    }
}

impl<S, T> std::fmt::Debug for ParseCsv<S, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParseCsv").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl<S: Send + 'static, T: Send + 'static> Operation for ParseCsv<S, T> {
    type In = S;
    type Out = T;
    const NAME: &'static str = "parse csv";

    fn check(&self) -> Result<()> {
        if self.delimiter.is_ascii() && !b"\"\r\n".contains(&self.delimiter) {
            Ok(())
        } else {
            Err(Error::from("fields cannot be told apart by that: it is a quote, a line end, or no ASCII character"))
        }
    }
}

impl<S: AsRef<str> + Send + 'static, T: DeserializeOwned + Send + 'static> React for ParseCsv<S, T> {
    type State = ();

    fn init(&self) {}

    fn react<E: Emit<T>>(&self, _state: &mut (), line: S, emit: &mut E) -> Result<()> {
        let line = line.as_ref();
        if memchr::memchr_iter(b'"', line.as_bytes()).count() % 2 == 1 {
            return Err(not_a_record(line, &"a quote is not closed; a field must not have a line end in it"));
        }
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(self.delimiter);
        builder.buffer_capacity(line.len().max(LEAST_BUFFER));
        let mut row = StringRecord::new();
        let read = builder.from_reader(line.as_bytes()).read_record(&mut row);
        if !read.map_err(|error| not_a_record(line, &error))? {
            return Err(not_a_record(line, &"it has no fields"));
        }
        let columns = self.columns.as_deref();
        if columns == Some(&row) {
            return Ok(());
        }
        if let Some(columns) = columns.filter(|columns| columns.len() != row.len()) {
            let why = format!("it has {} fields, and {} columns are named", row.len(), columns.len());
            return Err(not_a_record(line, &why));
        }
        emit.emit(row.deserialize(columns).map_err(|error| not_a_record(line, &error))?);
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Makes a record of each line of comma-separated values, its fields in their order; see [`ParseCsv`].
    ///
    /// ```
    /// let lines = vec!["to,2".to_owned(), "\"b,e\",1".to_owned()];
    /// let words = skitter::testing::run(lines, |lines| lines.parse_csv().map(|(word, n): (String, u64)| (word, n)))?;
    /// assert_eq!(words, [("to".to_owned(), 2), ("b,e".to_owned(), 1)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn parse_csv<T>(self) -> Stream<Behind<C, P, ParseCsv<P::Record, T>, Chained>>
    where
        P::Record: AsRef<str> + Send,
        T: DeserializeOwned + Send + 'static,
    {
        self.vertex(ParseCsv::new(), Chained)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn react<T: DeserializeOwned + Send + 'static>(parse: &ParseCsv<&str, T>, line: &'static str) -> Result<Vec<T>> {
        let mut records = Vec::new();
        parse.react(&mut (), line, &mut records).map(|()| records)
    }

    #[test]
    fn fields_are_values_of_their_types() {
        let parse = ParseCsv::<_, (u64, Option<f64>, String)>::new();
        assert_eq!(react(&parse, "1,2.5,a"), Ok(vec![(1, Some(2.5), "a".to_owned())]));
        assert_eq!(react(&parse, "1,,\"a \"\"b\"\", c\""), Ok(vec![(1, None, "a \"b\", c".to_owned())]));
        for (line, why) in
            [("x,1,a", "invalid digit"), ("1,1", "expected"), ("", "no fields"), ("1,1,\"a", "a quote is not closed")]
        {
            let error = react(&parse, line).expect_err(line).to_string();
            assert!(error.contains("is no such record") && error.contains(why), "{error}");
        }
        assert_eq!(react(&ParseCsv::<_, (u64, u64)>::new().delimiter(b'\t'), "1\t2"), Ok(vec![(1, 2)]));
        assert!(ParseCsv::<&str, u64>::new().delimiter(b'"').check().is_err());
    }

    #[test]
    fn columns_are_found_by_their_names() {
        let parse = ParseCsv::<_, BTreeMap<String, u64>>::new().columns(["a", "b"]);
        assert_eq!(react(&parse, "a,b"), Ok(vec![]), "the line of titles");
        let row = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(react(&parse, "1,2"), Ok(vec![row]));
        assert!(react(&parse, "1").expect_err("too few").to_string().contains("it has 1 fields, and 2 columns"));
    }
}
