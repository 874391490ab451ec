//! A port mapper that lies: whoever asks finds out, says what is wrong, and goes on trying if it was told to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::node::{Host, PATIENCE, free_port};

/// The answer to a question for a name.
type Answers<'a> = &'a (dyn Fn(&str) -> Vec<u8> + Sync);

/// How long somebody may take nothing of an answer that has no end.
const STALLED: Duration = Duration::from_millis(50);

/// Ends a mapper, whatever becomes of the test.
struct End<'a> {
    over: &'a AtomicBool,
    mapper: u16,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.mapper)));
    }
}

/// Something that passes for the mapper of a host while `work` is done: it lets everybody register, and answers as it
/// likes. Where the answer is empty, it says nothing; one that has no end of line goes on for ever.
fn liar<R>(host: &Host, answers: Answers<'_>, work: impl FnOnce() -> R) -> R {
    let listener = TcpListener::bind(("127.0.0.1", host.mapper())).expect("a free port");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || {
            let kept = Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                for stream in listener.incoming().map_while(Result::ok) {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    let kept = &kept;
                    scope.spawn(move || {
                        lie(&stream, answers, over);
                        kept.lock().expect("no panic").push(stream);
                    });
                }
            });
        });
        let _end = End { over, mapper: host.mapper() };
        work()
    })
}

/// Answers one line.
fn lie(stream: &TcpStream, answers: Answers<'_>, over: &AtomicBool) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_write_timeout(Some(STALLED)).expect("a time-out");
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line).is_err() {
        return;
    }
    let mut writer = stream;
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["SKTRMAP", _, "lookup", name] => {
            let answer = answers(name);
            let endless = !answer.is_empty() && !answer.ends_with(b"\n");
            let mut wrote = writer.write_all(&answer).is_ok();
            while endless && wrote && !over.load(Ordering::SeqCst) {
                wrote = writer.write_all(&answer).is_ok();
            }
        }
        _ => drop(writer.write_all(b"SKTRMAP 1 port 1\n")),
    }
}

fn port(port: u16) -> Vec<u8> {
    format!("SKTRMAP 1 port {port}\n").into_bytes()
}

#[test]
fn a_master_names_what_is_wrong_with_what_a_mapper_says() {
    let (host, elsewhere) = (Host::new(), Host::new());
    // A node whose own mapper is another one, and a web server.
    let at = free_port();
    let node = elsewhere.worker("other", &["--listen", &format!("127.0.0.1:{at}"), "--no-shutdown-with-master"]);
    std::fs::copy(elsewhere.directory().join(".skitter.cookie"), host.directory().join(".skitter.cookie"))
        .expect("the same cookie");
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let web = server.local_addr().expect("an address").port();
    let nobody = free_port();
    let answers = move |name: &str| match name {
        "nobody" => port(nobody),
        "web" => port(web),
        "another" | "other" => port(at),
        "garbage" => b"\x00\xff\x01garbage\n".to_vec(),
        "zero" => b"SKTRMAP 1 port 0\n".to_vec(),
        "huge" => b"SKTRMAP 1 port 4294967376\n".to_vec(),
        "endless" => b"SKTRMAP 1 port 1111111".to_vec(),
        "older" => b"SKTRMAP 0 at 7\n".to_vec(),
        _ => Vec::new(),
    };
    let expected = [
        ("nobody", "not_connected: "),
        ("web", "not_skitter: "),
        ("another", "not_connected: `other@localhost` answers where `another` was expected"),
        ("garbage", "not_skitter: "),
        ("zero", "not_skitter: "),
        ("huge", "not_skitter: "),
        ("endless", "not_skitter: "),
        ("older", "incompatible: "),
        ("silent", "not_connected: no answer from `localhost`, port "),
    ];
    let names: Vec<String> = expected.iter().map(|(name, _)| format!("{name}@localhost")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let master = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = server.accept().expect("somebody comes");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").expect("it reads");
        });
        liar(&host, &answers, || host.master(&names).expect(3))
    });
    for (name, why) in expected {
        let said = format!("Could not connect to `{name}@localhost`: {why}");
        assert_eq!(master.stderr.matches(&said).count(), 1, "{said}: {}", master.stderr);
    }
    assert!(!master.stderr.contains("Deploying"), "{}", master.stderr);
    // Who was meant by none of it is unharmed, and found by whoever tells the truth.
    liar(&host, &answers, || host.master(&["other@localhost"]).expect(0));
    node.says_times("Waiting for a master", 1);
}

#[test]
fn a_worker_tries_on_until_a_mapper_tells_the_truth() {
    let host = Host::new();
    let (nobody, at) = (free_port(), free_port());
    let honest = AtomicBool::new(false);
    let answers = |_: &str| port(if honest.load(Ordering::SeqCst) { at } else { nobody });
    liar(&host, &answers, || {
        let worker = host.worker("w1", &["m1@localhost"]);
        worker.says("Could not connect to `m1@localhost`: not_connected: ");
        let listen = format!("127.0.0.1:{at}");
        let master = host.start(["master", "start", "--no-deploy", "--name", "m1", "--listen", &listen]);
        master.says("Reachable at `m1@localhost`");
        honest.store(true, Ordering::SeqCst);
        worker.says("Connected to master: `m1@localhost`");
        // A worker knows it first, and could not be told the end by one that does not.
        master.says("Connected to `w1@localhost`");
        master.signal(Signal::INT);
        master.ended().expect(0);
        worker.ended().expect(0);
    });
}
