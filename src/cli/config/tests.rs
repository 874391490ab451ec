//! Tests of the layers.

use std::ffi::OsString;
use std::time::Duration;

use super::*;
use crate::net::Cookie;
use crate::runtime::OnError;

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
fn every_key_of_the_file_counts() {
    let text = "name = 'w1'\nhost = '[::1]'\ntag = ['gpu', 'big']\nlisten = ':4000'\nmapper-port = 4371\n\
                worker-file = 'workers'\nshutdown-with-workers = true\nno-shutdown-with-master = false\n\
                cookie-file = 'c'\nlog-dir = 'l'\nthreads = 2\ncheckpoint-interval = '500ms'\n\
                checkpoint-store = '/c'\nunaligned-after = 2\n\
                checkpoints-kept = 2\nrecovery-wait = 0.5\nmax-restarts = 0\n\
                on-error = 'dead-letter'\ndead-letters = 'd'\n";
    let tag = |text| Tag::new(text).expect("a tag");
    let expected = Settings {
        name: Some(Name("w1".to_owned())),
        host: Some(Host("::1".to_owned())),
        tags: Some(vec![tag("gpu"), tag("big")]),
        listen: Some(Listen { address: None, port: 4000 }),
        mapper_port: Some(Port(4371)),
        worker_file: Some("workers".into()),
        shutdown_with_workers: Some(true),
        no_shutdown_with_master: Some(false),
        cookie: Some(CookieSource::File("c".into())),
        log_files: Some(LogFiles::In("l".into())),
        threads: Some(Count(2)),
        checkpoint_interval: Some(Interval(Some(Duration::from_millis(500)))),
        checkpoint_store: Some(StoreUrl("/c".to_owned())),
        unaligned_after: Some(Interval(Some(Duration::from_secs(2)))),
        checkpoints_kept: Some(Number(2)),
        recovery_wait: Some(Seconds(Duration::from_millis(500))),
        max_restarts: Some(Number(0)),
        on_error: Some(OnError::DeadLetter),
        dead_letters: Some("d".into()),
        ..Settings::default()
    };
    assert_eq!(parse(text), Ok(expected));
    assert_eq!(parse("no-log = true").map(|settings| settings.log_files), Ok(Some(LogFiles::None)));
    let secret = CookieSource::Secret(Cookie::new("x").expect("a cookie"));
    assert_eq!(parse("cookie = 'x'").map(|settings| settings.cookie), Ok(Some(secret)));
}

#[test]
fn what_is_wrong_in_the_file_has_a_line() {
    for (text, error) in [
        ("\ncorse = 4", "skitter.toml:2:1: unknown field `corse`, expected one of"),
        ("cores = \"4\"", "skitter.toml:1:9: invalid type: string \"4\", expected i64"),
        ("# few\ncores = 0", "skitter.toml:2:9: 0 is not a number from 1 to 1024"),
        ("log-level = 'loud'", "skitter.toml:1:13: unknown variant `loud`, expected one of"),
        ("cores = ", "skitter.toml:1:9:"),
        ("name = 'w@h'", "skitter.toml:1:8: `w@h` is no name of a node on its host: "),
        ("host = ''", "skitter.toml:1:8: the name of a host cannot be empty"),
        ("tag = ['a', 'b c']", "skitter.toml:1:7: `b c` is no tag"),
        ("listen = 'x'", "skitter.toml:1:10: `x` is nothing to listen at"),
        ("mapper-port = 0", "skitter.toml:1:15: 0 is not a port from 1 to 65535"),
        ("adopt-timeout = -1", "skitter.toml:1:17: -1 is no time in seconds, above 0"),
        ("checkpoint-interval = '5ms'", "skitter.toml:1:23: checkpoints cannot be less than 10 ms apart"),
        ("checkpoint-interval = true", "skitter.toml:1:23: it is `off`, or a time such as"),
        ("checkpoint-store = ''", "skitter.toml:1:20: `` is unusable as a store: it is empty"),
        ("checkpoint-store = 'ftp://x'", "skitter.toml:1:20: `ftp://x` is unusable as a store: "),
        ("checkpoints-kept = 0", "skitter.toml:1:20: 0 is not a number from 1 to 1000"),
        ("recovery-wait = 0", "skitter.toml:1:17: 0 is no time in seconds, above 0"),
        ("max-restarts = 1001", "skitter.toml:1:16: 1001 is not a number from 0 to 1000"),
        ("cookie = ' '", "skitter.toml:1:10: the cookie is empty"),
        ("cookie = 'x'\ncookie-file = 'y'", "skitter.toml:1:10: `cookie` and `cookie-file` exclude each other"),
        ("no-log = true\nlog-dir = 'y'", "skitter.toml:2:11: `log-dir` and `no-log` exclude each other"),
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
fn variables_of_nodes_are_read() {
    let environment = |name: &str| {
        let value = match name {
            "SKITTER_NAME" => "w1",
            "SKITTER_HOST" => "h",
            "SKITTER_TAG" => "gpu, big",
            "SKITTER_LISTEN" => "127.0.0.1",
            "SKITTER_MAPPER_PORT" => "4371",
            "SKITTER_WORKER_FILE" => "workers",
            "SKITTER_SHUTDOWN_WITH_WORKERS" => "no",
            "SKITTER_NO_SHUTDOWN_WITH_MASTER" => "1",
            "SKITTER_ADOPT_TIMEOUT" => "1m",
            "SKITTER_CHECKPOINT_INTERVAL" => "off",
            "SKITTER_CHECKPOINT_STORE" => "file:///c%20d",
            "SKITTER_UNALIGNED_AFTER" => "off",
            "SKITTER_CHECKPOINTS_KEPT" => "1",
            "SKITTER_RECOVERY_WAIT" => "2",
            "SKITTER_MAX_RESTARTS" => "1000",
            "SKITTER_ON_ERROR" => "skip",
            "SKITTER_DEAD_LETTERS" => "d",
            "SKITTER_COOKIE" => "monster",
            "SKITTER_TLS_CERT" => "node.pem",
            "SKITTER_TLS_KEY" => "node.key",
            "SKITTER_TLS_CA" => "ca.pem",
            "SKITTER_LOG_DIR" => "l",
            _ => return None,
        };
        Some(OsString::from(value))
    };
    let tag = |text| Tag::new(text).expect("a tag");
    let expected = Settings {
        name: Some(Name("w1".to_owned())),
        host: Some(Host("h".to_owned())),
        tags: Some(vec![tag("gpu"), tag("big")]),
        listen: "127.0.0.1:0".parse().ok(),
        mapper_port: Some(Port(4371)),
        worker_file: Some("workers".into()),
        shutdown_with_workers: Some(false),
        no_shutdown_with_master: Some(true),
        adopt_timeout: Some(Seconds(Duration::from_secs(60))),
        checkpoint_interval: Some(Interval(None)),
        checkpoint_store: Some(StoreUrl("/c d".to_owned())),
        unaligned_after: Some(Interval(None)),
        checkpoints_kept: Some(Number(1)),
        recovery_wait: Some(Seconds(Duration::from_secs(2))),
        max_restarts: Some(Number(1000)),
        on_error: Some(OnError::Skip),
        dead_letters: Some("d".into()),
        cookie: Some(CookieSource::Secret(Cookie::new("monster").expect("a cookie"))),
        tls_cert: Some("node.pem".into()),
        tls_key: Some("node.key".into()),
        tls_ca: Some("ca.pem".into()),
        log_files: Some(LogFiles::In("l".into())),
        ..Settings::default()
    };
    assert_eq!(environment::read(&environment).expect("right"), expected);
    for (first, second) in [("SKITTER_COOKIE", "SKITTER_COOKIE_FILE"), ("SKITTER_LOG_DIR", "SKITTER_NO_LOG")] {
        let both = |name: &str| (name == first || name == second).then(|| OsString::from("true"));
        let said = environment::read(&both).expect_err("it is wrong").to_string();
        assert!(said.contains(first) && said.contains(&format!("{second} exclude each other")), "{said}");
    }
}

#[test]
fn a_cookie_that_others_can_read_is_refused() {
    let text = "\ncookie = 'secret'";
    let said = file::parse(Path::new("skitter.toml"), text, false).expect_err("it is public").to_string();
    assert!(said.starts_with("skitter.toml:2:10: others can read the cookie here; `chmod 600` this file"), "{said}");
    assert!(file::parse(Path::new("skitter.toml"), "cookie-file = 'x'", false).is_ok());
}

#[test]
fn tls_has_all_its_files_or_none() {
    let text = "tls-cert = 'c'\ntls-key = 'k'\ntls-ca = 'a'";
    let all = file::parse(Path::new("skitter.toml"), text, false).expect("right");
    let files = all.tls().expect("all three").expect("TLS");
    assert_eq!(files, TlsFiles { cert: "c".into(), key: "k".into(), ca: "a".into() });
    assert_eq!(Settings::default().tls().expect("none"), None);
    let some = Settings { tls_key: None, ..all.clone() };
    let said = some.tls().expect_err("one is missing").to_string();
    assert_eq!(said, "TLS: --tls-cert, --tls-key and --tls-ca go together; missing: --tls-key");
    let one = Settings { tls_cert: None, tls_key: None, ..all };
    let said = one.tls().expect_err("two are missing").to_string();
    assert!(said.ends_with("; missing: --tls-cert, --tls-key"), "{said}");
}

#[test]
fn where_to_listen_is_read() {
    for (text, address, port) in [
        ("127.0.0.1", Some("127.0.0.1"), 0),
        ("0.0.0.0:4000", Some("0.0.0.0"), 4000),
        ("::1", Some("::1"), 0),
        ("::", Some("::"), 0),
        ("[::1]", Some("::1"), 0),
        ("[::]:65535", Some("::"), 65535),
        (":4000", None, 4000),
        (":0", None, 0),
    ] {
        let address = address.map(|address| address.parse().expect("an address"));
        assert_eq!(text.parse(), Ok(Listen { address, port }), "{text}");
    }
    for text in ["", ":", "4000", "localhost", "127.0.0.1:", "1.2.3:4", "[::1", "[::1]4000", "::1]:1", "[1.2.3.4]:1"] {
        assert!(text.parse::<Listen>().is_err(), "{text}");
    }
    for text in [":65536", ":+1", "127.0.0.1:-1", "[::1]:http"] {
        let said = text.parse::<Listen>().expect_err(text);
        assert!(said.contains("its port is no number from 0 to 65535"), "{said}");
    }
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

#[test]
fn every_setting_of_a_layer_hides_the_one_below() {
    // Two of each, so that they differ.
    let layer = |n: usize| Settings {
        deploy: Some(Choice::Workflow { name: n.to_string(), at: String::new() }),
        cores: Some(Count(n)),
        threads: Some(Count(n)),
        name: Some(Name(n.to_string())),
        host: Some(Host(n.to_string())),
        tags: Some(vec![Tag::new(n.to_string()).expect("a tag")]),
        listen: Some(Listen { address: None, port: n as u16 }),
        mapper_port: Some(Port(n as u16)),
        worker_file: Some(n.to_string().into()),
        shutdown_with_workers: Some(n == 1),
        no_shutdown_with_master: Some(n == 1),
        adopt_timeout: Some(Seconds(Duration::from_secs(n as u64))),
        checkpoint_interval: Some(Interval(Some(Duration::from_secs(n as u64)))),
        checkpoint_store: Some(StoreUrl(format!("/{n}"))),
        unaligned_after: Some(Interval(Some(Duration::from_secs(n as u64)))),
        checkpoints_kept: Some(Number(n as u32)),
        recovery_wait: Some(Seconds(Duration::from_secs(n as u64))),
        max_restarts: Some(Number(n as u32)),
        on_error: Some(if n == 1 { OnError::Fail } else { OnError::Skip }),
        dead_letters: Some(n.to_string().into()),
        cookie: Some(CookieSource::Secret(Cookie::new(n.to_string()).expect("a cookie"))),
        tls_cert: Some(n.to_string().into()),
        tls_key: Some(n.to_string().into()),
        tls_ca: Some(n.to_string().into()),
        log_files: Some(LogFiles::In(n.to_string().into())),
        log_level: Some(if n == 1 { Level::Error } else { Level::Warn }),
        log_format: Some(if n == 1 { Format::Text } else { Format::Json }),
    };
    assert_eq!(layer(1).over(layer(2)), layer(1));
    assert_eq!(Settings::default().over(layer(2)), layer(2));
    assert_eq!(layer(2).over(Settings::default()), layer(2));
}

#[test]
fn times_are_read() {
    for (text, milliseconds) in
        [("30", 30_000), ("0.5", 500), ("30s", 30_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000)]
    {
        assert_eq!(text.parse(), Ok(Seconds(Duration::from_millis(milliseconds))), "{text}");
    }
    for text in ["", "s", "0", "-1", "1 d", "1x", "inf", "nan", "1e30"] {
        assert!(text.parse::<Seconds>().is_err(), "{text}");
    }
    for (text, interval) in [("'off'", None), ("'2m'", Some(120)), ("30", Some(30)), ("1.0", Some(1))] {
        let file = parse(&format!("checkpoint-interval = {text}")).expect(text);
        assert_eq!(file.checkpoint_interval, Some(Interval(interval.map(Duration::from_secs))), "{text}");
    }
    let file = file::parse(Path::new("skitter.toml"), "adopt-timeout = 60", true).expect("right");
    assert_eq!(file.adopt_timeout, Some(Seconds(Duration::from_secs(60))));
}
