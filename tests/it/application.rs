//! A new application, as its author meets it: made, tested, run, released, and run from the release. Takes a minute or
//! two where nothing of it has been built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::cli::process::{Ended, run, skitter};

/// What `hello` prints, in order.
const COUNTS: [&str; 4] = ["(\"Hello\", 1)", "(\"Hello\", 2)", "(\"Skitter\", 1)", "(\"World!\", 1)"];

/// Runs cargo, which may take as long as the test may.
fn cargo(mut command: Command, arguments: &[&str]) -> Ended {
    command.args(arguments).stdin(Stdio::null()).output().expect("cargo runs").into()
}

fn counts(ended: Ended) {
    let mut lines: Vec<_> = ended.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, COUNTS, "{ended:?}");
}

#[test]
fn a_new_application_builds_runs_and_is_released() {
    let place = tempdir().expect("a directory");
    let checkout = env!("CARGO_MANIFEST_DIR");
    run(skitter(place.path()), ["new", "hello_skitter", "--path", checkout]).expect(0);
    let package = place.path().join("hello_skitter");
    // The versions that this package is tested with, so that nothing has to be fetched.
    fs::copy(Path::new(checkout).join("Cargo.lock"), package.join("Cargo.lock")).expect("copied");
    let profile = Path::new(env!("CARGO_BIN_EXE_skitter")).parent().expect("the directory of a profile");
    let target: PathBuf = profile.parent().expect("a target directory").into();
    let set = |mut command: Command| {
        command.current_dir(&package).env("CARGO_TARGET_DIR", &target).env("CARGO_NET_OFFLINE", "true");
        // Released as any other, but not optimised: that takes minutes, and changes nothing here.
        command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16").env("CARGO_INCREMENTAL", "0");
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
            command.env_remove(name);
        }
        command
    };
    let own = || set(crate::cli::cargo::cargo());

    let tested = cargo(own(), &["test"]).expect(0);
    assert!(tested.stdout.contains("test hello::tests::words_are_counted ... ok"), "{tested:?}");
    assert!(!tested.stderr.contains("warning"), "{tested:?}");
    let ran = cargo(own(), &["run", "--", "local"]).expect(0);
    assert!(ran.stderr.contains("Completed `hello`"), "{ran:?}");
    counts(ran);
    let ran = cargo(own(), &["run", "--quiet", "--", "local", "--", "--text", "be or be"]).expect(0);
    assert_eq!(ran.stdout.lines().count(), 3, "{ran:?}");
    assert_eq!(cargo(own(), &["run", "--quiet", "--", "-a"]).expect(0).stdout, "hello_skitter 0.1.0\n");
    let formatted = cargo(own(), &["fmt", "--check"]);
    assert_eq!(formatted.stdout, "", "{formatted:?}");

    let made = cargo(set(skitter(&package)), &["release"]).expect(0);
    assert!(made.stderr.contains("it runs on "), "{made:?}");
    let tarball = made.stdout.trim_end();
    assert!(tarball.starts_with("hello_skitter-0.1.0-") && tarball.ends_with(".tar.gz"), "{made:?}");
    let first = fs::read(package.join(tarball)).expect("a tarball");
    cargo(own(), &["run", "--quiet", "--", "release", "-o", "again.tar.gz"]).expect(0);
    assert!(fs::read(package.join("again.tar.gz")).expect("a tarball") == first, "two runs differ");

    // What a host gets: nothing but the tarball.
    let host = tempdir().expect("a directory");
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(package.join(tarball)).current_dir(host.path());
    run(tar, [""; 0]).expect(0);
    let release = host.path().join("hello_skitter-0.1.0");
    let program = || {
        let mut command = Command::new("bin/skitter");
        command.current_dir(&release).env_clear().env("HOME", host.path());
        command
    };
    run(program(), ["release", "verify", "."]).expect(0);
    counts(run(program(), ["local"]).expect(0));
    let licences = fs::read_to_string(release.join("LICENSES.txt")).expect("a file");
    for part in ["\nskitter 0.1.0: MIT\n", "\ntokio 1.", "\nlibmimalloc-sys 0."] {
        assert!(licences.contains(part), "{part} is not in {}", &licences[..licences.len().min(5000)]);
    }
    // Macros are part of no program, nor what is for tests.
    for part in ["\nserde_derive ", "\ncc ", "\nproptest ", "\nhello_skitter "] {
        assert!(!licences.contains(part), "{part}");
    }
}
