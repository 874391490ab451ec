//! PostgreSQL: rows of a query in, rows of a table out.

mod link;
mod sink;
mod source;
mod sql;

pub use sink::{PostgresSink, PostgresWriter};
pub use source::{PostgresQuery, PostgresReader};

/// The schemes of its URLs.
const SCHEMES: &[&str] = &["postgres", "postgresql"];
