//! A record as named values: what rows, hashes and entries have in common.

use serde::Serialize;
use serde_json::Value;

use crate::workflow::{Error, Result};

/// The names of the values that are written of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns(Vec<String>);

impl Columns {
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Columns(names.into_iter().map(Into::into).collect())
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Checks that there are some, each once.
    pub fn check(&self) -> Result<()> {
        if self.0.is_empty() {
            return Err(Error::from("no field to write was named; name at least one"));
        }
        for (number, name) in self.0.iter().enumerate() {
            if name.is_empty() {
                return Err(Error::from("a field to write has an empty name"));
            }
            if self.0[..number].contains(name) {
                return Err(Error::Operation(format!("field `{name}` is named twice")));
            }
        }
        Ok(())
    }

    /// The values of a record, in the order of the names: those of a struct or map by their names, those of a tuple by
    /// their places, and a single value alone.
    ///
    /// # Errors
    /// When the record has not what is named, or is no such thing.
    pub fn values<T: Serialize>(&self, record: &T) -> Result<Vec<Value>> {
        let record = serde_json::to_value(record)
            .map_err(|error| Error::Operation(format!("the record cannot be taken apart: {error}")))?;
        match record {
            Value::Object(mut fields) => {
                let take = |name: &String| {
                    fields.remove(name).ok_or_else(|| Error::Operation(format!("the record has no field `{name}`")))
                };
                self.0.iter().map(take).collect()
            }
            Value::Array(values) if values.len() == self.0.len() => Ok(values),
            Value::Array(values) => {
                let (found, wanted) = (values.len(), self.0.len());
                Err(Error::Operation(format!("the record has {found} values, and {wanted} fields were named for them")))
            }
            value if self.0.len() == 1 => Ok(vec![value]),
            _ => {
                Err(Error::Operation(format!("the record is one value, and {} fields were named for it", self.0.len())))
            }
        }
    }
}

/// A value as text: text as it is, no value as none, all else as JSON.
#[cfg(feature = "redis")]
pub(super) fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Order {
        id: u64,
        name: Option<&'static str>,
        tags: Vec<u8>,
    }

    #[test]
    fn values_are_found_by_name_or_by_place() {
        let order = Order { id: 7, name: None, tags: vec![1, 2] };
        let columns = Columns::new(["tags", "name", "id"]);
        assert_eq!(columns.values(&order), Ok(vec![json!([1, 2]), Value::Null, json!(7)]));
        assert_eq!(Columns::new(["a", "b"]).values(&("x", 1.5)), Ok(vec![json!("x"), json!(1.5)]));
        assert_eq!(Columns::new(["a"]).values(&"x"), Ok(vec![json!("x")]));
        let error = |result: Result<Vec<Value>>| result.expect_err("no such values").to_string();
        assert_eq!(error(Columns::new(["x"]).values(&order)), "the record has no field `x`");
        assert!(error(Columns::new(["x"]).values(&(1, 2))).contains("has 2 values, and 1 fields"));
        assert!(error(Columns::new(["x", "y"]).values(&1)).contains("is one value, and 2 fields"));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn values_are_written_as_text() {
        let texts = [json!([1, 2]), Value::Null, json!(7), json!("x")].map(text);
        assert_eq!(texts, ["[1,2]", "", "7", "x"]);
    }

    #[test]
    fn names_are_checked() {
        assert!(Columns::new(["a", "b"]).check().is_ok());
        assert!(Columns::new(Vec::<String>::new()).check().is_err());
        assert!(Columns::new(["a", ""]).check().is_err());
        assert!(Columns::new(["a", "a"]).check().is_err());
    }
}
