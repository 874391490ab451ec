//! The bytes of requests and replies.

use proptest::prelude::*;

use super::*;

fn kind(line: &[u8]) -> (Fault, String) {
    decode_request(line).expect_err("it is no request")
}

#[test]
fn requests_have_these_bytes() {
    let all = [
        (Request::Ping, r#"{"skitter":1,"verb":"ping"}"#),
        (Request::Status, r#"{"skitter":1,"verb":"status"}"#),
        (Request::Stop, r#"{"skitter":1,"verb":"stop"}"#),
        (Request::Nodes, r#"{"skitter":1,"verb":"nodes"}"#),
        (Request::Workflows, r#"{"skitter":1,"verb":"workflows"}"#),
        (Request::Deployments, r#"{"skitter":1,"verb":"deployments"}"#),
        (
            Request::Deploy { name: "x".to_owned(), arguments: vec!["-a\n".to_owned()] },
            r#"{"skitter":1,"verb":"deploy","name":"x","arguments":["-a\n"]}"#,
        ),
        (
            Request::Undeploy { deployment: 3, patience_ms: 1 },
            r#"{"skitter":1,"verb":"undeploy","deployment":3,"patience_ms":1}"#,
        ),
        (
            Request::Savepoint { deployment: 3, directory: Some("d".to_owned()), stop: true },
            r#"{"skitter":1,"verb":"savepoint","deployment":3,"directory":"d","stop":true}"#,
        ),
        (Request::Workers { deployment: None }, r#"{"skitter":1,"verb":"workers","deployment":null}"#),
        (Request::Graph { deployment: 1 }, r#"{"skitter":1,"verb":"graph","deployment":1}"#),
        (Request::Log { level: Level::Debug }, r#"{"skitter":1,"verb":"log","level":"debug"}"#),
        (Request::Handover, r#"{"skitter":1,"verb":"handover"}"#),
    ];
    for ((request, bytes), verb) in all.into_iter().zip(VERBS) {
        let line = encode(&request, MAX_REQUEST).expect("short");
        assert_eq!(line, format!("{bytes}\n").into_bytes());
        assert_eq!(decode_request(&line), Ok(request));
        assert!(bytes.contains(&format!("\"verb\":\"{verb}\"")), "{bytes}");
    }
}

#[test]
fn replies_have_these_bytes() {
    let info = DeploymentInfo {
        id: 3,
        name: "x".to_owned(),
        phase: "failed".to_owned(),
        error: Some("no".to_owned()),
        elapsed_ms: 5,
        progress: Some(0.5),
        vertices: vec![VertexInfo { name: "v".to_owned(), workers: 2, received: 7, emitted: 8 }],
    };
    let in_bytes = concat!(
        r#"{"id":3,"name":"x","phase":"failed","error":"no","elapsed_ms":5,"progress":0.5,"#,
        r#""vertices":[{"name":"v","workers":2,"received":7,"emitted":8}]}"#
    );
    let status = NodeStatus {
        mode: "worker".to_owned(),
        name: "w@h".to_owned(),
        address: Some("h:1".to_owned()),
        pid: 7,
        version: "0.1.0".to_owned(),
        build: None,
        uptime_ms: 1,
        cores: 2,
        tags: vec!["gpu".to_owned()],
        peers: vec![PeerStatus {
            name: "m@h".to_owned(),
            mode: "master".to_owned(),
            address: "h:2".to_owned(),
            tags: Vec::new(),
            cores: 2,
            memory: 3,
        }],
        deployments: Vec::new(),
        stopping: false,
    };
    let status_in_bytes = concat!(
        r#"{"skitter":1,"reply":"status","mode":"worker","name":"w@h","address":"h:1","pid":7,"version":"0.1.0","#,
        r#""build":null,"uptime_ms":1,"cores":2,"tags":["gpu"],"peers":[{"name":"m@h","mode":"master","#,
        r#""address":"h:2","tags":[],"cores":2,"memory":3}],"deployments":[],"stopping":false}"#
    );
    for (reply, bytes) in [
        (Reply::Status(Box::new(status)), status_in_bytes.to_owned()),
        (Reply::Pong { pid: 7, up: true }, r#"{"skitter":1,"reply":"pong","pid":7,"up":true}"#.to_owned()),
        (Reply::Stopping, r#"{"skitter":1,"reply":"stopping"}"#.to_owned()),
        (
            Reply::Undeployed { deployment: info },
            format!(r#"{{"skitter":1,"reply":"undeployed","deployment":{in_bytes}}}"#),
        ),
        (
            Reply::Error { kind: Fault::NotUnderstood, message: "what?".to_owned() },
            r#"{"skitter":1,"reply":"error","kind":"not_understood","message":"what?"}"#.to_owned(),
        ),
    ] {
        let line = encode(&reply, MAX_REPLY).expect("short");
        assert_eq!(String::from_utf8_lossy(&line), format!("{bytes}\n"));
        assert_eq!(decode_reply(&line), Ok(reply));
    }
}

#[test]
fn what_is_no_request_is_said() {
    assert_eq!(kind(b"GET / HTTP/1.1\r\n").0, Fault::NotUnderstood);
    assert_eq!(kind(b"").0, Fault::NotUnderstood);
    assert_eq!(kind(b"[1]").0, Fault::NotUnderstood);
    assert_eq!(kind(br#"{"verb":"ping"}"#).0, Fault::NotUnderstood);
    let (fault, message) = kind(br#"{"skitter":2,"verb":"ping"}"#);
    assert!(fault == Fault::Version && message.contains("version 1 and not 2"), "{message}");
    let (fault, message) = kind(br#"{"skitter":1,"verb":"dance"}"#);
    assert!(fault == Fault::NotUnderstood && message.contains("no verb `dance` (there is ping, status, "), "{message}");
    let (_, message) = kind(br#"{"skitter":1,"verb":"graph","deployment":"x"}"#);
    assert!(message.starts_with("verb `graph`: "), "{message}");
    // What is not known yet is passed over.
    assert_eq!(decode_request(br#"{"skitter":1,"verb":"ping","why":{"not":[]}}"#), Ok(Request::Ping));
    let long = Request::Deploy { name: "x".repeat(MAX_REQUEST), arguments: Vec::new() };
    assert!(encode(&long, MAX_REQUEST).is_err());
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_request(&bytes);
        let _ = decode_reply(&bytes);
    }
}
