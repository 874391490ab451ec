//! HTTP.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skitter::connectors::{HttpSink, HttpSource};
use skitter::operations::Paced;
use skitter::prelude::*;
use skitter::runtime::DeploymentHandle;

use crate::fault::{House, ended};
use crate::server::{PATIENCE, eventually, free_port};

const COUNT: u64 = 2000;

/// What is answered to a body: the status, what it says, and whether it is to be sent again later.
fn post(url: &str, token: &str, body: &[u8]) -> Option<(u16, String, bool)> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
    let request = agent.new_agent().post(url).header("Authorization", format!("Bearer {token}"));
    let mut answer = request.send(body).ok()?;
    let later = answer.headers().contains_key("retry-after");
    Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?, later))
}

/// Posts until there is an answer of this status.
fn post_until(url: &str, status: u16, body: &str) {
    eventually("it is not taken", || {
        post(url, "", body.as_bytes()).is_some_and(|(found, said, _)| {
            assert!(found == status || found == 429 || found == 503, "{found}: {said}");
            found == status
        })
    });
}

fn numbers(range: std::ops::Range<u64>) -> String {
    range.map(|number| format!("{number}\n")).collect()
}

/// A source into a channel of some room.
fn listen(house: &House, source: HttpSource<String>, room: usize) -> (DeploymentHandle, Receiver<String>) {
    let (sender, seen) = sync_channel(room);
    let workflow = WorkflowBuilder::new();
    workflow.listen(source).send(sender);
    (house.deploy(workflow), seen)
}

fn stop(deployment: &DeploymentHandle) {
    deployment.stop();
    ended(deployment).expect("it stops");
}

#[test]
fn lines_are_records_in_order() {
    let (house, port) = (House::new(), free_port());
    let (address, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/any"));
    let (deployment, seen) = listen(&house, HttpSource::lines(address), 10_000);
    post_until(&url, 202, "a\r\n\nb");
    for from in (0..COUNT).step_by(100) {
        post_until(&url, 202, &numbers(from..from + 100));
    }
    let taken: Vec<String> = seen.iter().take(COUNT as usize + 2).collect();
    assert_eq!(taken[..3], ["a", "b", "0"]);
    assert!(taken[2..] == (0..COUNT).map(|number| number.to_string()).collect::<Vec<_>>());
    stop(&deployment);
}

#[test]
fn what_was_answered_when_it_was_durable_is_there_although_an_operation_panics() {
    let (house, port) = (House::new(), free_port());
    let (address, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    // A file forgets what came behind the checkpoint, as state does.
    workflow
        .listen(HttpSource::lines(address).durable())
        .map(move |line: String| {
            once.pass(COUNT / 2);
            line
        })
        .write_tsv(house.at("lines.tsv"));
    let deployment = house.deploy(workflow);
    // Many at a time, so that some are under way when it panics.
    std::thread::scope(|scope| {
        for part in 0..20 {
            let url = &url;
            scope.spawn(move || {
                for from in (part * 100..(part + 1) * 100).step_by(10) {
                    post_until(url, 200, &numbers(from..from + 10));
                }
            });
        }
    });
    stop(&deployment);
    assert!(fault.has_failed());
    let text = std::fs::read_to_string(house.at("lines.tsv")).expect("a file");
    let found: BTreeSet<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(found.len() as u64, COUNT, "none is lost");
}

#[test]
fn who_posts_too_fast_is_told_so() {
    let (house, port) = (House::new(), free_port());
    let (address, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let (deployment, seen) = listen(&house, HttpSource::lines(address), 1);
    let body = "x".repeat(200_000);
    let mut taken = 0;
    eventually("it takes all", || match post(&url, "", body.as_bytes()) {
        Some((202, ..)) => {
            taken += 1;
            false
        }
        Some((429, said, later)) => {
            assert!(later && said.contains("try again later"), "{said}");
            true
        }
        other => {
            assert!(other.is_none(), "{other:?}");
            false
        }
    });
    assert!((40..400).contains(&taken), "{taken}");
    assert_eq!(seen.iter().take(taken).count(), taken, "what was taken is there");
    post_until(&url, 202, "last");
    assert_eq!(seen.recv_timeout(PATIENCE).as_deref(), Ok("last"), "and what was not is not");
    stop(&deployment);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Click {
    page: String,
}

#[test]
fn what_is_wrong_with_a_request_is_answered() {
    let (house, port) = (House::new(), free_port());
    let (address, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let (sender, seen) = sync_channel(100);
    let workflow = WorkflowBuilder::new();
    workflow.listen(HttpSource::<Click>::json(address).token("open sesame").longest_body(1000)).send(sender);
    let deployment = house.deploy(workflow);
    eventually("nobody answers", || post(&url, "", b"").is_some());
    let status = |token: &str, body: &[u8]| {
        let (status, said, _) = post(&url, token, body).expect("an answer");
        (status, said)
    };
    assert_eq!(status("", b"").0, 401);
    assert_eq!(status("open sesam", b"").0, 401);
    assert_eq!(status("open sesame", b"{\"page\": \"a\"}\n{\"page\": \"b\"}").0, 202);
    assert_eq!(status("open sesame", b"[{\"page\": \"c\"}, {\"page\": \"d\"}]").0, 202);
    let (bad, said) = status("open sesame", b"[{\"page\": \"c\"}, {\"pag\": \"d\"}]");
    assert!(bad == 400 && said.contains("missing field `page` at line 1 column 28"), "{bad} {said}");
    assert_eq!(status("open sesame", b"{\"page\": \"a\"} x").0, 400);
    assert_eq!(status("open sesame", &[b'x'; 1001]).0, 413);
    // In pieces, so that nobody says how long it is.
    let raw = |request: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.write_all(request.as_bytes()).expect("sent");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("an answer");
        line
    };
    let head = "HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer open sesame\r\n";
    let piece = format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    assert!(raw(&format!("POST / {head}Transfer-Encoding: chunked\r\n\r\n{piece}")).contains("413"));
    assert!(raw(&format!("GET / {head}\r\n")).contains("405"));
    assert!(raw("nonsense\r\n\r\n").contains("400"));
    let pages: Vec<_> = seen.iter().take(4).map(|click| click.page).collect();
    assert_eq!(pages, ["a", "b", "c", "d"]);
    stop(&deployment);
    assert!(seen.try_recv().is_err(), "nothing of a request that was refused");
}

#[test]
fn not_everybody_may_post() {
    let refused = |source: HttpSource<String>| {
        let workflow = WorkflowBuilder::new();
        workflow.listen(source).discard();
        workflow.build().map(|_| ()).expect_err("refused").to_string()
    };
    assert!(refused(HttpSource::lines("0.0.0.0:1")).contains("everybody could post to `0.0.0.0:1`"));
    assert!(refused(HttpSource::lines("0.0.0.0:1").token("")).contains("empty"));
    assert!(refused(HttpSource::lines("localhost")).contains("`localhost` is not an address"));
    let workflow = WorkflowBuilder::new();
    workflow.listen(HttpSource::lines("0.0.0.0:1").token("${SKITTER_TEST_NOT_SET}")).discard();
    let error = House::new().run(workflow).expect_err("not set").to_string();
    assert!(error.contains("no variable `SKITTER_TEST_NOT_SET`"), "{error}");
}

/// Something that is posted: its headers and its body.
type Posted = (String, String);

/// Runs a test beside a server that answers by what it has been posted so far; no answer breaks the connection.
fn beside_a_hook(answer: impl Fn(&[Posted]) -> Option<&'static str> + Sync, test: impl FnOnce(&str)) -> Vec<Posted> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hook = scope.spawn(|| {
            let mut posted = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let mut reader = BufReader::new(stream);
                loop {
                    let (mut head, mut line) = (String::new(), String::new());
                    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                        head.push_str(&line.to_lowercase());
                        line.clear();
                    }
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                    let Some(length) = length else { break };
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).expect("a body");
                    posted.push((head, String::from_utf8(body).expect("text")));
                    let Some(status) = answer(&posted) else { break };
                    let said = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
                    if reader.get_mut().write_all(said.as_bytes()).is_err() {
                        break;
                    }
                }
            }
            posted
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&format!("http://{address}/hook"))));
        done.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(address);
        let posted = hook.join().expect("no panic");
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        posted
    })
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let answer = |posted: &[Posted]| match posted.len() {
        1 => Some("500 Internal Server Error"),
        2 => Some("429 Too Many Requests\r\nRetry-After: 1"),
        4 => None,
        _ => Some("200 OK"),
    };
    let posted = beside_a_hook(answer, |url| {
        let (house, workflow) = (House::new(), WorkflowBuilder::new());
        let sink = HttpSink::new(url).batch(10).header("X-Token", "abc");
        workflow.source(StreamSource::new(|| 0..25u64)).sink(sink, Sedentary);
        house.run(workflow).expect("it is asked again");
    });
    let key = |n: usize| posted[n].0.lines().find(|line| line.starts_with("idempotency-key")).map(str::to_owned);
    assert!(posted[0].0.contains("x-token: abc") && posted[0].0.contains("content-type: application/x-ndjson"));
    assert!(key(0).is_some() && key(0) == key(1) && key(1) == key(2) && key(2) != key(3) && key(3) == key(4));
    assert_eq!((&posted[0].1, &posted[1].1), (&posted[1].1, &posted[2].1));
    let taken: String = [2, 4, 5].map(|n| posted[n].1.as_str()).concat();
    assert_eq!(taken, numbers(0..25));
}

#[test]
fn no_record_is_lost_although_an_operation_panics() {
    let posted = beside_a_hook(
        |_| Some("204 No Content\r\nX: y"),
        |url| {
            let (house, workflow) = (House::new(), WorkflowBuilder::new());
            let fault = house.fault();
            let once = fault.clone();
            workflow
                .source(Paced::new(StreamSource::new(|| 0..COUNT), 3000))
                .map(move |n| {
                    once.pass(COUNT / 2);
                    n
                })
                .sink(HttpSink::new(url).array(), Chained);
            house.run(workflow).expect("it goes on");
            assert!(fault.has_failed());
        },
    );
    let all = posted.iter().flat_map(|(_, body)| serde_json::from_str::<Vec<u64>>(body).expect("an array"));
    assert_eq!(all.collect::<BTreeSet<_>>().len() as u64, COUNT);
}

#[test]
fn what_a_server_refuses_is_named_without_secrets() {
    let run = |url: &str| {
        let (house, workflow) = (House::new(), WorkflowBuilder::new());
        let sink = HttpSink::new(url).patience(Duration::from_millis(100));
        workflow.source(StreamSource::new(|| 0..25u64)).sink(sink, Sedentary);
        house.run(workflow).expect_err("it is refused").to_string()
    };
    beside_a_hook(
        |_| Some("422 Unprocessable Content"),
        |url| {
            let error = run(&format!("{}?key=hunter2", url.replace("://", "://me:hunter2@")));
            let expected =
                format!("HTTP at `{}` cannot take records: it answers 422", url.replace("://", "://me:***@"));
            assert!(error.contains(&expected) && error.contains("Entity: ok") && !error.contains("hunter2"), "{error}");
        },
    );
    let error = run(&format!("http://127.0.0.1:{}", free_port()));
    assert!(error.contains("cannot reach HTTP at `http://127.0.0.1:") && error.contains("is it running"), "{error}");
}
