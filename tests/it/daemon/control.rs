//! The control socket and those who misuse it.

use std::io::{Read, Write};
use std::net::Shutdown;

use super::home::Home;

/// What is answered to these bytes.
fn answer(home: &Home, bytes: &[u8]) -> String {
    let mut stream = home.connect("worker-skitter_worker");
    // It may have heard enough before it has heard all.
    let _ = stream.write_all(bytes);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn whatever_comes_over_the_socket_the_node_goes_on() {
    let home = Home::new();
    home.say(["worker", "daemon"]).expect(0);
    assert!(
        answer(&home, b"{\"skitter\":1,\"verb\":\"ping\"}\n").starts_with("{\"skitter\":1,\"reply\":\"pong\",\"pid\":")
    );
    for (bytes, kind, part) in [
        (&b"hello\n"[..], "not_understood", "a JSON object"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not_understood", "a JSON object"),
        (b"\n", "not_understood", "a JSON object"),
        (b"\0\xff\xfe\n", "not_understood", "a JSON object"),
        (b"{\"verb\":\"ping\"}\n", "not_understood", "its version"),
        (b"{\"skitter\":7,\"verb\":\"ping\"}\n", "version", "speaks version 1 and not 7"),
        (b"{\"skitter\":1,\"verb\":\"dance\"}\n", "not_understood", "no verb `dance` (there is ping, "),
        (b"{\"skitter\":1,\"verb\":\"deploy\",\"name\":\"x\",\"arguments\":[]}\n", "refused", "ask its master"),
        (&vec![b'x'; 300_000], "not_understood", "at most 262144 bytes"),
        (&[b"[".repeat(100_000), b"\n".to_vec()].concat(), "not_understood", "a JSON object"),
    ] {
        let said = answer(&home, bytes);
        let of_kind = format!("{{\"skitter\":1,\"reply\":\"error\",\"kind\":\"{kind}\",\"message\":\"");
        assert!(said.starts_with(&of_kind) && said.contains(part) && said.ends_with("}\n"), "{said}");
    }
    // A request without a line feed, from who has no more to say.
    let mut stream = home.connect("worker-skitter_worker");
    stream.write_all(b"{\"skitter\":1,\"verb\":\"nodes\"}").expect("it reads");
    stream.shutdown(Shutdown::Write).expect("open");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("an answer");
    assert_eq!(said, "{\"skitter\":1,\"reply\":\"nodes\",\"nodes\":[]}\n");
    home.say(["worker", "status"]).expect(0);
}

#[test]
fn those_who_say_nothing_or_never_read_are_let_go() {
    let home = Home::new();
    home.say(["worker", "daemon"]).expect(0);
    let silent: Vec<_> = (0..20).map(|_| home.connect("worker-skitter_worker")).collect();
    let deaf: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = home.connect("worker-skitter_worker");
            stream.write_all(b"{\"skitter\":1,\"verb\":\"status\"}\n").expect("it fits");
            stream
        })
        .collect();
    // Whoever is served is served beside them, or after them.
    home.say(["worker", "status"]).expect(0);
    for mut stream in silent {
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("it is closed");
        assert!(said.contains("there was no whole request within 5 s"), "{said}");
    }
    drop(deaf);
    home.say(["worker", "stop"]).expect(0);
}

#[test]
fn those_who_wait_for_a_deployment_keep_nobody_from_stopping_the_node() {
    let home = Home::faulty();
    home.say(["local", "daemon", "--no-deploy"]).expect(0);
    home.say(["local", "deploy", "hangs"]).expect(0);
    let undeploy = b"{\"skitter\":1,\"verb\":\"undeploy\",\"deployment\":1,\"patience_ms\":3600000}\n";
    let mut waiting: Vec<_> = (0..70)
        .map(|_| {
            let mut stream = home.connect("local-skitter_local");
            stream.write_all(undeploy).expect("it reads");
            stream
        })
        .collect();
    // Those that are too many are told so.
    let mut said = String::new();
    waiting.pop().expect("the last").read_to_string(&mut said).expect("an answer");
    assert!(said.contains("\"kind\":\"busy\"") && said.contains("64 others wait"), "{said}");
    home.say(["local", "status"]).expect(0);
    home.say(["local", "stop", "--timeout", "100ms"]).expect(0);
}
