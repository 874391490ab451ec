//! HTTP: what is posted in, posts out.

mod desk;
mod sink;
mod source;

pub use sink::{HttpSink, HttpWriter};
pub use source::HttpSource;
