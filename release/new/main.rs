//! The program: the command line of Skitter, with the workflows of this application.

mod hello;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let workflows = [skitter::workflow(
        "hello",
        "Counts the words of a text",
        hello::hello,
    )];
    skitter::app!().workflows(&workflows).main()
}
