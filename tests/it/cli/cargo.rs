//! Cargo, in tests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Cargo, as a user calls it.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    outside(&mut cargo);
    cargo
}

/// Keeps from a program what cargo tells tests of their package. Build scripts look at that: cargo would build what has
/// one anew for each test, and once more for whoever builds the tests next.
pub fn outside(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let starts_with = |start: &str| name.as_encoded_bytes().starts_with(start.as_bytes());
        if starts_with("CARGO_PKG_") || starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
}

/// Tests of a package are built with its binaries, but not always with its examples: so they are built here.
pub fn example(name: &str) -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_skitter")).parent().expect("the directory of a profile");
    let mut build = cargo();
    build.args(["build", "--quiet", "--package", "skitter", "--example", name, "--target-dir"]);
    build.arg(profile.parent().expect("a target directory")).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.file_name() == Some(OsStr::new("release")) {
        build.arg("--release");
    }
    // With the features of the tests, so that the library is not built once more.
    for (is_on, feature) in [(cfg!(feature = "connectors"), "connectors"), (cfg!(feature = "disk"), "disk")] {
        if is_on {
            build.args(["--features", feature]);
        }
    }
    let output = build.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    profile.join("examples").join(name)
}
