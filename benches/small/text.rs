//! Reading a text of 16 MB in one worker: its lines, blocks of its lines, and its words. An iteration is a whole
//! deployment.

use std::fmt::Write;

use divan::Bencher;
use divan::counter::BytesCount;
use skitter::Runtime;
use skitter::prelude::*;
use skitter::runtime::Settings;
use tempfile::NamedTempFile;

/// Size of the text, in bytes.
const SIZE: usize = 16_000_000;

/// Lines of ten words of one to nine letters.
fn text() -> NamedTempFile {
    let mut text = String::with_capacity(SIZE + 100);
    let mut number = 0usize;
    while text.len() < SIZE {
        for _ in 0..10 {
            number += 1;
            // Digits of a number that jumps about, cut at a length that does so, too.
            let digits = number.wrapping_mul(0x9E37_79B9) % 1_000_000_000;
            let length = 1 + digits / 7 % 9;
            let _ = write!(text, "{:.length$} ", digits.to_string());
        }
        text.pop();
        text.push('\n');
    }
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("room for the text");
    file
}

fn read(bencher: Bencher, build: impl Fn(&WorkflowBuilder, TextFiles)) {
    let file = text();
    let runtime = Runtime::with(Settings { cores: 1, threads: 1, ..Settings::default() }).expect("threads");
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        let workflow = WorkflowBuilder::new();
        build(&workflow, TextFiles::new([file.path()]));
        runtime.deploy("text", workflow.build().expect("a workflow")).expect("a deployment").wait().expect("an end")
    });
}

#[divan::bench(sample_count = 20)]
fn lines(bencher: Bencher) {
    read(bencher, |workflow, files| workflow.source(files).discard());
}

#[divan::bench(sample_count = 20)]
fn blocks(bencher: Bencher) {
    read(bencher, |workflow, files| workflow.source(files.blocks()).discard());
}

#[divan::bench(sample_count = 20)]
fn words_of_lines(bencher: Bencher) {
    read(bencher, |workflow, files| workflow.source(files).words::<Word>().discard());
}

#[divan::bench(sample_count = 20)]
fn words_of_blocks(bencher: Bencher) {
    read(bencher, |workflow, files| workflow.source(files.blocks()).words::<Word>().discard());
}
