//! A record as a row of fields: tab-separated or comma-separated.

use std::fmt::Display;
use std::io::Write;

use serde::ser::{self, Impossible, Serialize, Serializer};

/// How the fields of a row are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separated {
    /// By tabs; tab, LF, CR and backslash in a field are written `\t`, `\n`, `\r` and `\\`.
    Tabs,
    /// By tabs; fields are written as they are, and one with a tab, LF or CR in it is refused.
    RawTabs,
    /// By commas; a field with a comma, a quote or a line end in it is put in quotes, and its quotes are doubled.
    Commas,
}

/// Appends a record as a row, with its line end.
pub(super) fn write_row<T: Serialize>(record: &T, separated: Separated, out: &mut Vec<u8>) -> Result<(), RowError> {
    let begin = out.len();
    let mut row = Row { out, separated, fields: 0, inside: false };
    record.serialize(&mut row)?;
    let only = row.fields == 1;
    // A blank line would be skipped by those who read it.
    if separated == Separated::Commas && only && out.len() == begin {
        out.extend_from_slice(b"\"\"");
    }
    out.push(b'\n');
    Ok(())
}

/// Why a record is no row.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum RowError {
    #[error("field {field} of the record is {what}; a row takes text, numbers and booleans only")]
    Field { field: usize, what: &'static str },
    #[error("field {0} of the record has a tab or a line end in it; use a format that escapes them")]
    Raw(usize),
    #[error("the record is {0}; a row takes a tuple, a struct, or one field alone")]
    Record(&'static str),
    #[error("{0}")]
    Custom(String),
}

impl ser::Error for RowError {
    fn custom<T: Display>(message: T) -> Self {
        RowError::Custom(message.to_string())
    }
}

/// A row that is being written.
struct Row<'a> {
    out: &'a mut Vec<u8>,
    separated: Separated,
    /// How many fields have been begun.
    fields: usize,
    /// Whether the value at hand is a field, or else the record itself.
    inside: bool,
}

impl Row<'_> {
    /// The next field, as a whole.
    fn field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), RowError> {
        if self.fields > 0 {
            self.out.push(if self.separated == Separated::Commas { b',' } else { b'\t' });
        }
        self.fields += 1;
        self.inside = true;
        value.serialize(&mut *self)?;
        self.inside = false;
        Ok(())
    }

    /// The fields of the record follow, unless it is a field that has them.
    fn open(&mut self, what: &'static str) -> Result<&mut Self, RowError> {
        if self.inside { self.refuse(what) } else { Ok(self) }
    }

    fn refuse<T>(&self, what: &'static str) -> Result<T, RowError> {
        Err(if self.inside { RowError::Field { field: self.fields, what } } else { RowError::Record(what) })
    }

    /// Writes a value that needs no escapes.
    fn plain(&mut self, value: impl Display) -> Result<(), RowError> {
        self.alone();
        // Writing to a vector cannot fail.
        let _ = write!(self.out, "{value}");
        Ok(())
    }

    fn text(&mut self, value: &str) -> Result<(), RowError> {
        self.alone();
        match self.separated {
            Separated::Tabs => self.escaped(value.as_bytes()),
            Separated::RawTabs if value.contains(['\t', '\n', '\r']) => return Err(RowError::Raw(self.fields)),
            Separated::RawTabs => self.out.extend_from_slice(value.as_bytes()),
            Separated::Commas => self.quoted(value.as_bytes()),
        }
        Ok(())
    }

    fn nothing(&mut self) -> Result<(), RowError> {
        self.alone();
        Ok(())
    }

    /// A record that is no tuple or struct is the one field of its row.
    fn alone(&mut self) {
        self.fields = self.fields.max(1);
    }

    fn escaped(&mut self, value: &[u8]) {
        let mut written = 0;
        for (at, byte) in value.iter().enumerate() {
            let escape = match byte {
                b'\t' => b"\\t",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\\' => b"\\\\",
                _ => continue,
            };
            self.out.extend_from_slice(&value[written..at]);
            self.out.extend_from_slice(escape);
            written = at + 1;
        }
        self.out.extend_from_slice(&value[written..]);
    }

    fn quoted(&mut self, value: &[u8]) {
        if !value.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
            self.out.extend_from_slice(value);
            return;
        }
        self.out.push(b'"');
        for (number, part) in value.split(|byte| *byte == b'"').enumerate() {
            if number > 0 {
                self.out.extend_from_slice(b"\"\"");
            }
            self.out.extend_from_slice(part);
        }
        self.out.push(b'"');
    }
}

/// The callbacks of numbers and booleans.
macro_rules! plain {
    ($($callback:ident: $type:ty),+) => {
        $(fn $callback(self, value: $type) -> Result<(), RowError> {
            self.plain(value)
        })+
    };
}

type Name = &'static str;

impl<'a, 'b> Serializer for &'a mut Row<'b> {
    type Ok = ();
    type Error = RowError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), RowError>;
    type SerializeMap = Impossible<(), RowError>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), RowError>;

    plain!(serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    plain!(serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);
    plain!(serialize_u128: u128);

    // Floats as in Rust's debug form: the fewest digits that give the same number when they are read.
    fn serialize_f32(self, value: f32) -> Result<(), RowError> {
        self.plain(format_args!("{value:?}"))
    }

    fn serialize_f64(self, value: f64) -> Result<(), RowError> {
        self.plain(format_args!("{value:?}"))
    }

    fn serialize_char(self, value: char) -> Result<(), RowError> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), RowError> {
        self.text(value)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), RowError> {
        self.refuse("raw bytes")
    }

    fn serialize_none(self) -> Result<(), RowError> {
        self.nothing()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), RowError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), RowError> {
        self.nothing()
    }

    fn serialize_unit_struct(self, _: Name) -> Result<(), RowError> {
        self.nothing()
    }

    fn serialize_unit_variant(self, _: Name, _: u32, variant: Name) -> Result<(), RowError> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: Name, value: &T) -> Result<(), RowError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: Name, _: u32, _: Name, _: &T) -> Result<(), RowError> {
        self.refuse("an enum variant with a value")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, RowError> {
        self.open("a sequence")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, RowError> {
        self.open("a tuple")
    }

    fn serialize_tuple_struct(self, _: Name, _: usize) -> Result<Self, RowError> {
        self.open("a struct")
    }

    fn serialize_tuple_variant(
        self,
        _: Name,
        _: u32,
        _: Name,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, RowError> {
        self.refuse("an enum variant with values")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, RowError> {
        self.refuse("a map, whose entries have no order")
    }

    fn serialize_struct(self, _: Name, _: usize) -> Result<Self, RowError> {
        self.open("a struct")
    }

    fn serialize_struct_variant(
        self,
        _: Name,
        _: u32,
        _: Name,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, RowError> {
        self.refuse("an enum variant with fields")
    }
}

/// The callbacks of records that have fields.
macro_rules! fields {
    ($($trait:ident: $callback:ident($($name:ty)?)),+) => {
        $(impl ser::$trait for &mut Row<'_> {
            type Ok = ();
            type Error = RowError;

            fn $callback<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Result<(), RowError> {
                self.field(value)
            }

            fn end(self) -> Result<(), RowError> {
                Ok(())
            }
        })+
    };
}

fields!(SerializeSeq: serialize_element(), SerializeTuple: serialize_element());
fields!(SerializeTupleStruct: serialize_field(), SerializeStruct: serialize_field(Name));

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    fn row<T: Serialize>(record: T, separated: Separated) -> Result<String, RowError> {
        let mut out = b"before|".to_vec();
        write_row(&record, separated, &mut out)?;
        let text = String::from_utf8(out).expect("UTF-8");
        Ok(text.strip_prefix("before|").and_then(|row| row.strip_suffix('\n')).expect("one row").to_owned())
    }

    fn tsv<T: Serialize>(record: T) -> String {
        row(record, Separated::Tabs).expect("a row")
    }

    fn csv<T: Serialize>(record: T) -> String {
        row(record, Separated::Commas).expect("a row")
    }

    #[derive(Serialize)]
    enum Colour {
        Red,
        Mixed(u8),
        Named { name: String },
    }

    #[derive(Serialize)]
    struct Metres(f64);

    #[derive(Serialize)]
    struct Car {
        name: &'static str,
        colour: Colour,
        length: Option<Metres>,
        seats: i8,
    }

    #[test]
    fn tuples_structs_and_single_values_are_rows() {
        assert_eq!(tsv(("word", 3u64)), "word\t3");
        assert_eq!(csv(("word", 3u64)), "word,3");
        let car = Car { name: "a b", colour: Colour::Red, length: Some(Metres(4.0)), seats: -1 };
        assert_eq!(tsv(&car), "a b\tRed\t4.0\t-1");
        assert_eq!(csv(Car { length: None, ..car }), "a b,Red,,-1");
        assert_eq!(tsv("word"), "word");
        assert_eq!(tsv(vec![true, false]), "true\tfalse");
        assert_eq!(tsv(('x', 1e300, f64::NAN, 0.1f32, ())), "x\t1e300\tNaN\t0.1\t");
        assert_eq!(tsv((u128::MAX, i64::MIN)), format!("{}\t{}", u128::MAX, i64::MIN));
    }

    #[test]
    fn fields_are_escaped_in_tsv() {
        assert_eq!(tsv(("a\tb\nc\rd\\e", "ä\"b,")), "a\\tb\\nc\\rd\\\\e\tä\"b,");
        assert_eq!(tsv(("\t", "", "\\")), "\\t\t\t\\\\");
    }

    #[test]
    fn raw_fields_are_as_they_are_or_refused() {
        assert_eq!(row(("C:\\a\\b", "\"ä\"", 3u64), Separated::RawTabs), Ok("C:\\a\\b\t\"ä\"\t3".to_owned()));
        for text in ["a\tb", "a\n", "\r"] {
            assert_eq!(row(("x", text), Separated::RawTabs), Err(RowError::Raw(2)), "{text:?}");
        }
    }

    #[test]
    fn fields_are_quoted_in_csv_if_they_must_be() {
        assert_eq!(
            csv(("a,b", "say \"a\"", "\r", "\n", " a\tb ", "")),
            "\"a,b\",\"say \"\"a\"\"\",\"\r\",\"\n\", a\tb ,"
        );
        assert_eq!(csv("\""), "\"\"\"\"");
        assert_eq!(csv(""), "\"\"", "else it would be a blank line");
        assert_eq!(csv(None::<u8>), "\"\"");
        assert_eq!(csv(("", "")), ",");
    }

    #[test]
    fn what_is_no_row_is_refused_with_the_field() {
        let refused = |result: Result<String, RowError>| result.expect_err("no row").to_string();
        assert_eq!(
            refused(row(("a", ("b", 1)), Separated::Tabs)),
            "field 2 of the record is a tuple; a row takes text, numbers and booleans only"
        );
        assert!(
            refused(row((1, Some(vec![1])), Separated::Commas)).starts_with("field 2 of the record is a sequence;")
        );
        assert!(
            refused(row((Metres(1.0), 2, Colour::Mixed(1)), Separated::Tabs))
                .starts_with("field 3 of the record is an")
        );
        let map = std::collections::BTreeMap::from([(1, 2)]);
        assert!(refused(row((&map,), Separated::Tabs)).starts_with("field 1 of the record is a map"));
        assert!(refused(row(map, Separated::Tabs)).starts_with("the record is a map, whose entries have no order;"));
        let named = Colour::Named { name: String::new() };
        assert!(refused(row(named, Separated::Tabs)).starts_with("the record is an enum variant with fields;"));
    }
}
