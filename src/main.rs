//! The `skitter` program: the command line with the bundled workflows.
fn main() {}
