//! The `skitter` program: the command line with the bundled workflows.

use std::process::ExitCode;

#[path = "../workflows/mod.rs"]
mod workflows;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    skitter::app!().workflows(&workflows::all()).main()
}
