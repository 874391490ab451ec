//! All integration tests, in one binary.

// Lets helper functions use what only tests may.
#![cfg(test)]

mod outside;
mod runtime;
