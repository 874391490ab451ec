//! Tests of nodes as a whole.

mod chaos;
