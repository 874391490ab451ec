//! Files of columns: Apache Parquet.

mod columns;
mod part;
mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use sink::{ParquetWriter, WriteParquet};
pub use source::{ParquetFiles, ParquetReader};
