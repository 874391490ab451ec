//! See `skitter::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| skitter::fuzz::run("manifests", bytes));
