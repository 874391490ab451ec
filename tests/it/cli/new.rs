//! `skitter new`, but for what cargo makes of it; that is in `application`.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use tempfile::tempdir;

use super::cargo::cargo;
use super::process::{run, skitter};

#[test]
fn a_package_is_made_and_never_over_another() {
    let place = tempdir().expect("a directory");
    let said = run(skitter(place.path()), ["new", "hello_skitter"]).expect(0);
    assert_eq!(said.stdout, "Made `hello_skitter`. Now: cd hello_skitter && cargo test && cargo run -- local\n");
    assert_eq!(said.stderr, "");
    let manifest = fs::read_to_string(place.path().join("hello_skitter/Cargo.toml")).expect("a file");
    assert!(manifest.contains("\nskitter = \"0.1.0\"\n"), "{manifest}");
    let said = run(skitter(place.path()), ["new", "hello_skitter"]).expect(2).stderr;
    assert!(said.contains("hello_skitter` is already there; choose another name, or remove it"), "{said}");
    fs::write(place.path().join("other"), "").expect("written");
    run(skitter(place.path()), ["new", "other"]).expect(2);
    assert_eq!(fs::read(place.path().join("other")).expect("a file"), b"");
    let said = run(skitter(place.path()), ["new", "third", "--path", "."]).expect(2).stderr;
    assert!(said.contains("`.` is no checkout of Skitter"), "{said}");
    assert!(!place.path().join("third").exists());
    assert!(run(skitter(place.path()), ["new"]).expect(2).stderr.contains("<NAME>"));
    let mut full = skitter(Path::new("/proc"));
    full.env("HOME", place.path());
    assert!(run(full, ["new", "third"]).expect(1).stderr.contains("cannot write `./third`"));
}

#[test]
fn what_cargo_refuses_is_refused() {
    let place = tempdir().expect("a directory");
    let long = "x".repeat(65);
    for (name, cargo_refuses) in [
        ("1st", true),
        ("a b", true),
        ("a.b", true),
        ("", true),
        ("async", true),
        ("crate", true),
        ("test", true),
        ("deps", true),
        ("incremental", true),
        // These would be taken by cargo, and make trouble later.
        ("grüße", false),
        ("gen", false),
        ("core", false),
        ("_", false),
        ("skitter", false),
        (&long, false),
    ] {
        let mut cargo = cargo();
        cargo.args(["new", "--quiet", "--vcs", "none", "--", name]).current_dir(place.path());
        let refused = !cargo.stderr(Stdio::null()).status().expect("cargo runs").success();
        assert_eq!(refused, cargo_refuses, "{name}");
        let _ = fs::remove_dir_all(place.path().join(name).join("src"));
        let said = run(skitter(tempdir().expect("a directory").path()), ["new", "--", name]).expect(2).stderr;
        assert!(said.contains("cannot be the name of a package: ") && said.contains("choose another"), "{said}");
    }
}
