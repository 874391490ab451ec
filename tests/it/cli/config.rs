//! Defaults, file, environment, options: the later one counts.

use std::path::Path;

use tempfile::{TempDir, tempdir};

use super::process::{Ended, run, skitter};

fn with_file(text: &str) -> TempDir {
    let directory = tempdir().expect("a directory");
    std::fs::write(directory.path().join("skitter.toml"), text).expect("written");
    directory
}

fn local(directory: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = skitter(directory);
    command.envs(environment.iter().copied());
    run(command, ["local"].iter().chain(arguments))
}

/// Which workflow was deployed.
fn deployed(ended: &Ended) -> &str {
    let at = ended.stderr.split("Deploying `").nth(1).and_then(|rest| rest.split('`').next());
    at.unwrap_or_else(|| panic!("nothing was deployed: {ended:?}"))
}

#[test]
fn each_layer_hides_the_ones_below() {
    let empty = tempdir().expect("a directory");
    assert_eq!(deployed(&local(empty.path(), &[], &[]).expect(0)), "hello");
    let directory = with_file("deploy = \"nested\"\n");
    assert_eq!(deployed(&local(directory.path(), &[], &[]).expect(0)), "nested");
    let variable = [("SKITTER_DEPLOY", "hello")];
    assert_eq!(deployed(&local(directory.path(), &variable, &[]).expect(0)), "hello");
    assert_eq!(deployed(&local(directory.path(), &variable, &["-d", "nested"]).expect(0)), "nested");
    // Options may stand before the command, too.
    let between = run(skitter(directory.path()), ["local", "--log-level", "info", "-d", "hello", "start"]);
    assert_eq!(deployed(&between.expect(0)), "hello");
    // An empty variable is none.
    assert_eq!(deployed(&local(directory.path(), &[("SKITTER_DEPLOY", "")], &[]).expect(0)), "nested");
}

#[test]
fn every_setting_comes_from_every_layer() {
    let json = |ended: &Ended| ended.stderr.starts_with('{');
    let directory = with_file("log-format = \"json\"\nlog-level = \"info\"\ncores = 2\nthreads = 1\n");
    assert!(json(&local(directory.path(), &[], &[]).expect(0)));
    assert!(!json(&local(directory.path(), &[("SKITTER_LOG_FORMAT", "text")], &[]).expect(0)));
    assert!(json(&local(directory.path(), &[("SKITTER_LOG_FORMAT", "text")], &["--log-format", "json"]).expect(0)));
    assert_eq!(local(directory.path(), &[("SKITTER_LOG_LEVEL", "error")], &[]).expect(0).stderr, "");
}

#[test]
fn the_file_can_be_named() {
    let directory = with_file("nonsense");
    std::fs::write(directory.path().join("other.toml"), "deploy = \"nested\"").expect("written");
    assert_eq!(deployed(&local(directory.path(), &[], &["--config", "other.toml"]).expect(0)), "nested");
    let variable = [("SKITTER_CONFIG", "other.toml")];
    assert_eq!(deployed(&local(directory.path(), &variable, &[]).expect(0)), "nested");
    let ended = local(directory.path(), &variable, &["--config", "missing.toml"]).expect(5);
    assert_eq!(
        ended.stderr,
        "error: cannot read configuration `missing.toml`: No such file or directory (os error 2)\n"
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, said) in [
        ("\ncorse = 4\n", "error: skitter.toml:2:1: unknown field `corse`"),
        ("cores = \"many\"\n", "error: skitter.toml:1:9: "),
        ("cores = 4000\n", "error: skitter.toml:1:9: 4000 is not a number from 1 to 1024"),
        ("cores =\n", "error: skitter.toml:1:"),
        (
            "cores = 2\ndeploy = \"helo\"\n",
            "error: skitter.toml:2:10: there is no workflow `helo`; did you mean `hello`?",
        ),
    ] {
        let directory = with_file(text);
        let ended = local(directory.path(), &[], &[]).expect(5);
        assert!(ended.stderr.starts_with(said), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        assert_eq!(ended.stdout, "");
    }
    let empty = tempdir().expect("a directory");
    for (variable, value) in [("SKITTER_CORES", "many"), ("SKITTER_LOG_LEVEL", "loud"), ("SKITTER_DEPLOY", "helo")] {
        let ended = local(empty.path(), &[(variable, value)], &[]).expect(5);
        assert!(ended.stderr.contains(variable) && ended.stderr.contains(value), "{ended:?}");
    }
}

#[test]
fn a_broken_file_keeps_nobody_from_asking_for_help() {
    let directory = with_file("nonsense");
    for arguments in [&["help"][..], &["-V"], &["workflows"], &["completions", "bash"], &["local", "--help"]] {
        run(skitter(directory.path()), arguments).expect(0);
    }
}
