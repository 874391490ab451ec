//! The built-in operations, one a file, each with the operator by which it is put behind a stream.

mod cause;
mod closure;
mod collect;
mod count;
mod distinct;
mod filter;
mod flat_map;
mod fold;
#[cfg(test)]
mod gate;
mod inspect;
pub mod joins;
mod keyed_combine;
mod keyed_reduce;
mod last;
mod map;
mod message_source;
mod numbers;
mod paced;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "csv")]
mod parse_csv;
mod parse_json;
mod print;
mod process;
mod processing_time;
mod send;
mod split_watermarks;
mod stream_source;
mod tcp_source;
mod text_files;
mod union;
mod watermarks;
pub mod windows;
mod words;
mod write_file;

pub use collect::{Collect, Collected};
pub use count::Count;
pub use distinct::Distinct;
pub use filter::{Accept, Filter, Filtered, Reject};
pub use flat_map::FlatMap;
pub use fold::Fold;
pub use inspect::Inspect;
pub use keyed_combine::KeyedCombine;
pub use keyed_reduce::KeyedReduce;
pub use last::Last;
pub use map::Map;
pub use message_source::{Closed, MessageSender, MessageSource, NotSent};
pub use numbers::Numbers;
pub use paced::Paced;
#[cfg(feature = "parquet")]
pub use parquet::{ParquetFiles, ParquetReader, ParquetWriter, WriteParquet};
#[cfg(feature = "csv")]
pub use parse_csv::ParseCsv;
pub use parse_json::ParseJson;
pub use print::Print;
pub use process::{AtKey, Entries, Process, Processing, Storage, TimedList, TimedMap};
pub use processing_time::ProcessingTime;
pub use send::Send;
pub use split_watermarks::{SplitWatermarks, Splits};
pub use stream_source::StreamSource;
pub use tcp_source::{LONGEST_TCP_LINE, MOST_TCP_CONNECTIONS, TcpSource};
pub use text_files::{
    AsBlocks, AsLines, Form, LONGEST_TEXT_LINE, TextBlock, TextFiles, TextLines, TextReader, WATCH_INTERVAL,
};
pub use union::{Union, UnionOf};
pub use watermarks::{Latest, Watermarks};
pub use words::{Words, WordsOf};
pub use write_file::{FileState, WriteFile};
