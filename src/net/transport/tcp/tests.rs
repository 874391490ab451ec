//! Tests of TCP, over loopback.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[tokio::test]
async fn all_addresses_of_a_host_are_tried() {
    let mut listener = Tcp.listen("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let address = listener.local_address().expect("an address");
    // `localhost` may be `::1` first, at which nobody listens.
    let (dialled, accepted) = tokio::join!(Tcp.connect("localhost", address.port()), listener.accept());
    let (mut dialled, (mut accepted, peer)) = (dialled.expect("a listener"), accepted.expect("a connection"));
    assert_eq!((dialled.peer_address(), accepted.peer_address()), (Some(address), Some(peer)));
    dialled.write_all(b"hello").await.expect("a peer");
    let (mut reader, mut writer) = accepted.into_halves();
    let mut bytes = [0; 5];
    reader.read_exact(&mut bytes).await.expect("a greeting");
    writer.write_all(&bytes).await.expect("a peer");
    drop(writer);
    let mut text = String::new();
    dialled.read_to_string(&mut text).await.expect("an answer, and the end");
    assert_eq!(text, "hello");
    accepted = dialled;
    drop(accepted);
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_plainly() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let error = Tcp.connect("127.0.0.1", port).await.err().expect("nobody listens");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let error = Tcp.connect("no-such-host.invalid", 80).await.err().expect("no such host").to_string();
    assert!(!error.contains("failed to lookup"), "{error}");
    assert!(Tcp.listen("192.0.2.1:0".parse().expect("an address")).await.is_err(), "not an address of this host");
}

#[test]
fn a_connection_is_set_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a listener");
        let stream = set_up(stream).expect("options");
        assert!(stream.nodelay().expect("an option"));
        assert!(rustix::net::sockopt::socket_keepalive(&stream).expect("an option"));
        assert_eq!(rustix::net::sockopt::tcp_keepidle(&stream).expect("an option"), KEEPALIVE);
    });
}
