//! Tests of the layers.

use std::ffi::OsString;

use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    file::parse(Path::new("skitter.toml"), text, true).map_err(|error| error.to_string())
}

#[test]
fn the_file_is_read() {
    let text = "cores = 4\nlog-level = \"debug\"\nlog-format = 'json'\n\ndeploy = \"hello\"\n";
    let deploy = Choice::Workflow { name: "hello".to_owned(), at: "skitter.toml:5:10".to_owned() };
    let expected = Settings {
        deploy: Some(deploy),
        cores: Some(Count(4)),
        log_level: Some(Level::Debug),
        log_format: Some(Format::Json),
        ..Settings::default()
    };
    assert_eq!(parse(text), Ok(expected));
    assert_eq!(parse(""), Ok(Settings::default()));
    assert_eq!(parse("no-deploy = true").map(|settings| settings.deploy), Ok(Some(Choice::Nothing)));
    assert_eq!(parse("no-deploy = false").map(|settings| settings.deploy), Ok(None));
}

#[test]
fn what_is_wrong_in_the_file_has_a_line() {
    for (text, error) in [
        ("\ncorse = 4", "skitter.toml:2:1: unknown field `corse`, expected one of"),
        ("cores = \"4\"", "skitter.toml:1:9: invalid type: string \"4\", expected i64"),
        ("# few\ncores = 0", "skitter.toml:2:9: 0 is not a number from 1 to 1024"),
        ("log-level = 'loud'", "skitter.toml:1:13: unknown variant `loud`, expected one of"),
        ("cores = ", "skitter.toml:1:9:"),
        ("no-deploy = true\ndeploy = 'x'", "skitter.toml:2:10: `deploy` and `no-deploy` exclude each other"),
    ] {
        let said = parse(text).expect_err("it is wrong");
        assert!(said.starts_with(error), "{text:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said:?}");
    }
}

#[test]
fn variables_are_read() {
    let environment = |name: &str| match name {
        "SKITTER_CORES" => Some(OsString::from("3")),
        "SKITTER_NO_DEPLOY" => Some(OsString::from("yes")),
        _ => None,
    };
    let settings = environment::read(&environment).expect("right");
    assert_eq!((settings.cores, settings.deploy), (Some(Count(3)), Some(Choice::Nothing)));
    let loud = |name: &str| (name == "SKITTER_LOG_LEVEL").then(|| OsString::from("loud"));
    let said = environment::read(&loud).expect_err("it is wrong").to_string();
    assert_eq!(said, "environment variable SKITTER_LOG_LEVEL=`loud`: it may be error, warn, info, debug, trace");
}

#[test]
fn a_layer_hides_the_ones_below() {
    let high = Settings { cores: Some(Count(1)), deploy: Some(Choice::Nothing), ..Settings::default() };
    let deploy = Some(Choice::Workflow { name: "x".to_owned(), at: String::new() });
    let low = Settings { cores: Some(Count(2)), threads: Some(Count(2)), deploy, ..Settings::default() };
    let both = high.over(low);
    assert_eq!((both.cores, both.threads), (Some(Count(1)), Some(Count(2))));
    assert_eq!(both.deploy, Some(Choice::Nothing));
}
