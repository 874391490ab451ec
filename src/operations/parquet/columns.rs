//! Which columns a record has.

use std::fmt::Display;

use serde::de::value::Error as Unknown;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};

/// The names of the fields of a struct; none of what is no struct, or has fields that cannot be known (`flatten`).
pub(super) fn names<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    let mut found = None;
    // It asks for its fields and is given none.
    let _ = T::deserialize(Names(&mut found));
    found
}

/// Hears what a type asks for.
struct Names<'a>(&'a mut Option<&'static [&'static str]>);

impl Names<'_> {
    fn nothing<R>(self) -> Result<R, Unknown> {
        Err(Unknown::custom("only its fields were asked for"))
    }
}

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Unknown;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Unknown> {
        self.nothing()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Unknown> {
        *self.0 = Some(fields);
        self.nothing()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Unknown> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map enum identifier ignored_any
    }
}

/// What a library says of an error, without the word that it begins with.
pub(super) fn plain(error: impl Display) -> String {
    let text = error.to_string();
    ["Error: ", "Parquet error: "]
        .iter()
        .fold(text.as_str(), |text, word| text.strip_prefix(word).unwrap_or(text))
        .to_owned()
}

/// Names as they stand in a message.
pub(super) fn listed<S: Display>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn fields_are_known_of_structs_alone() {
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "its fields alone are asked for")]
        struct Trip {
            id: u64,
            #[serde(rename = "fare")]
            price: f64,
        }
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "its fields alone are asked for")]
        struct Wrapped(Trip);
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "its fields alone are asked for")]
        struct Flat {
            #[serde(flatten)]
            trip: Trip,
        }
        assert_eq!(names::<Trip>(), Some(&["id", "fare"][..]));
        assert_eq!(names::<Wrapped>(), names::<Trip>());
        assert_eq!(names::<Flat>(), None);
        assert_eq!(names::<(u64, String)>(), None);
        assert_eq!(listed(["a", "b"]), "`a`, `b`");
        assert_eq!((plain("Error: x"), plain("x")), ("x".to_owned(), "x".to_owned()));
    }
}
