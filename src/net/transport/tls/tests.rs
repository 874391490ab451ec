//! Tests of TLS, with certificates made for each: over TCP, as runtimes and sockets matter.

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use super::*;
use crate::net::handshake::tests::{cookie, master, worker};
use crate::net::session::FAREWELL;
use crate::net::{HANDSHAKE_TIMEOUT, Mode, Purpose, Reason, Refusal, Session, Tcp, accept, dial};

/// A CA of a test's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate with its key.
struct Made {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    fn make(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Made {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        Made { certificate: params.signed_by(&key, &self.issuer).expect("a certificate"), key }
    }

    /// Of a node whose certificate is so, and that believes this CA. Nobody has looked whether it is good.
    fn unseen(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Credentials {
        self.believing(self, names, change)
    }

    fn believing(&self, other: &Authority, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Credentials {
        let made = self.make(names, change);
        let key = PrivateKeyDer::try_from(made.key.serialize_der()).expect("a key");
        let ca: CertificateDer<'static> = other.certificate.der().clone();
        Credentials::new(&[made.certificate.der().clone()], &[ca], key, None).expect("they fit")
    }

    pub fn credentials(&self, names: &[&str]) -> Credentials {
        self.unseen(names, |_| {})
    }
}

/// A transport with TLS, or without.
fn transport(credentials: Option<Credentials>) -> Arc<dyn Transport> {
    match credentials {
        Some(credentials) => Arc::new(Tls::new(Arc::new(Tcp), credentials)),
        None => Arc::new(Tcp),
    }
}

/// What a node of each transport makes of the other, the dialer first; and that none waits for a time-out.
async fn meet(
    dialer: Arc<dyn Transport>,
    acceptor: Arc<dyn Transport>,
    host: &str,
) -> (Result<Session, Refusal>, Result<Session, Refusal>) {
    let mut listener = acceptor.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let port = listener.local_address().expect("an address").port();
    let (cookie_a, cookie_b, master, worker) = (cookie("secret"), cookie("secret"), master(), worker());
    let start = Instant::now();
    let dials = dial(&*dialer, (host, port), &cookie_a, &master, Purpose::Control, Mode::Worker);
    let accepts = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        accept(stream, &cookie_b, &worker, |_, _| Ok(())).await
    };
    let both = tokio::join!(dials, accepts);
    assert!(start.elapsed() < HANDSHAKE_TIMEOUT / 2, "{:?}", start.elapsed());
    both
}

fn refused(result: Result<Session, Refusal>, reason: Reason, part: &str) {
    let refusal = result.expect_err("no session");
    assert!(refusal.reason == reason && refusal.detail.contains(part), "{refusal}");
}

#[tokio::test]
async fn two_nodes_of_one_ca_talk() {
    let authority = Authority::new();
    let here = transport(Some(authority.credentials(&["elsewhere"])));
    for (host, names) in [("127.0.0.1", ["127.0.0.1"]), ("localhost", ["localhost"])] {
        let there = transport(Some(authority.credentials(&names)));
        let (a, b) = meet(Arc::clone(&here), there, host).await;
        let (mut a, mut b) = (a.expect("a session"), b.expect("a session"));
        assert_eq!((&a.peer, &b.peer), (&worker(), &master()));
        assert!(a.address.is_some() && b.address.is_some());
        a.stream.probe(Duration::from_secs(1), Duration::from_secs(1), 1).expect("a socket");
        a.stream.write_all(b"hello").await.expect("a peer");
        a.stream.flush().await.expect("a peer");
        let mut bytes = [0; 5];
        b.stream.read_exact(&mut bytes).await.expect("a greeting");
        assert_eq!(&bytes, b"hello");
    }
}

#[tokio::test]
async fn certificates_that_are_no_good_are_refused_with_the_reason_on_both_sides() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = || transport(Some(authority.credentials(&["127.0.0.1"])));
    let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2001, 1, 1);
    let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(3001, 1, 1);
    let for_clients = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let for_servers = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    // Of the acceptor; what the dialer says, and what the acceptor does.
    let there = |credentials| transport(Some(credentials));
    for (acceptor, dialer_says, acceptor_says) in [
        (there(other.believing(&authority, &["127.0.0.1"], |_| {})), "not signed by the CA", "not signed by the CA"),
        (there(authority.unseen(&["127.0.0.1"], expired)), "the certificate has expired", "it has expired"),
        (there(authority.unseen(&["127.0.0.1"], early)), "not valid yet", "it does not take this node's"),
        (there(authority.credentials(&["127.0.0.2", "x"])), "not for `127.0.0.1`, but for", "not for this host"),
        (there(authority.credentials(&[])), "not for `127.0.0.1`, but for no host", "not for this host"),
        (there(authority.unseen(&["127.0.0.1"], for_clients)), "both serverAuth and", "both serverAuth and"),
    ] {
        let (a, b) = meet(good(), acceptor, "127.0.0.1").await;
        refused(a, Reason::NotSkitter, dialer_says);
        refused(b, Reason::NotSkitter, acceptor_says);
    }
    for (dialer, dialer_says, acceptor_says) in [
        (there(other.believing(&authority, &["x"], |_| {})), "not signed by the CA", "not signed by the CA"),
        (there(authority.unseen(&["x"], expired)), "it has expired", "the certificate has expired"),
        (there(authority.unseen(&["x"], for_servers)), "both serverAuth and", "both serverAuth and"),
    ] {
        let (a, b) = meet(dialer, good(), "127.0.0.1").await;
        refused(a, Reason::NotSkitter, dialer_says);
        refused(b, Reason::NotSkitter, acceptor_says);
    }
}

#[tokio::test]
async fn tls_on_one_side_only_is_said_on_both() {
    let authority = Authority::new();
    for (dialer, acceptor) in [(true, false), (false, true)] {
        let side = |has: bool| transport(has.then(|| authority.credentials(&["127.0.0.1"])));
        let (a, b) = meet(side(dialer), side(acceptor), "127.0.0.1").await;
        for result in [a, b] {
            refused(result, Reason::Incompatible, "one of the two nodes has TLS and the other one has not");
        }
    }
}

/// Somebody answers a dialer with TLS so, or says so to an acceptor with TLS; what the node makes of it.
#[tokio::test]
async fn what_does_not_speak_tls_is_no_node() {
    let authority = Authority::new();
    let tls = transport(Some(authority.credentials(&["127.0.0.1"])));
    for (said, part) in [(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "it does not speak TLS"), (b"", "without a word")] {
        let mut listener = Tcp.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let port = listener.local_address().expect("an address").port();
        let answers = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            // All of a hello, so that the answer is not taken back.
            assert!(stream.read(&mut [0; 4096]).await.expect("a hello") > 100);
            stream.write_all(said).await.expect("a peer");
        };
        let (cookie_a, master) = (cookie("secret"), master());
        let dials = dial(&*tls, ("127.0.0.1", port), &cookie_a, &master, Purpose::Control, Mode::Worker);
        refused(tokio::join!(dials, answers).0, Reason::NotSkitter, part);
    }
    let mut listener = tls.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let port = listener.local_address().expect("an address").port();
    for (said, part) in [(&b"GET / HTTP/1.1\r\n\r\n"[..], "it does not speak TLS"), (b"", "without a word")] {
        let probes = async {
            let mut stream = Tcp.connect("127.0.0.1", port).await.expect("a listener");
            stream.write_all(said).await.expect("a peer");
            stream.shutdown().await.expect("a peer");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("the end");
            answer.len()
        };
        let accepts = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            accept(stream, &cookie("secret"), &worker(), |_, _| Ok(())).await
        };
        let (told, accepted) = tokio::join!(probes, accepts);
        refused(accepted, Reason::NotSkitter, part);
        assert!(told < 32, "{told} bytes for a stranger");
    }
}

#[tokio::test]
async fn silence_before_tls_ends_after_five_seconds_and_takes_no_place() {
    let authority = Authority::new();
    let tls = transport(Some(authority.credentials(&["127.0.0.1"])));
    let mut listener = tls.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let port = listener.local_address().expect("an address").port();
    let silent = Tcp.connect("127.0.0.1", port).await.expect("a listener");
    // It is accepted at once: the handshake is not the listener's.
    let (first, _) = listener.accept().await.expect("a connection");
    let (cookie_a, worker) = (cookie("secret"), worker());
    let start = Instant::now();
    let refusal = accept(first, &cookie_a, &worker, |_, _| Ok(())).await.expect_err("silence");
    assert_eq!(refusal.reason, Reason::NotConnected);
    assert!(start.elapsed() < HANDSHAKE_TIMEOUT + 2 * FAREWELL);
    drop(silent);
}

/// Two ends of a connection.
async fn connected(authority: &Authority) -> (BoxStream, BoxStream) {
    let tls = transport(Some(authority.credentials(&["127.0.0.1"])));
    let mut listener = tls.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let port = listener.local_address().expect("an address").port();
    let accepts = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.begin().await.expect("a peer");
        stream
    };
    let (a, b) = tokio::join!(tls.connect("127.0.0.1", port), accepts);
    (a.expect("a connection"), b)
}

const MUCH: usize = 3_000_000;

fn much(seed: u8) -> Vec<u8> {
    (0..MUCH).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[tokio::test]
async fn both_halves_work_at_the_same_time_and_end_in_order() {
    let (a, b) = connected(&Authority::new()).await;
    let ((mut from_b, mut to_b), (mut from_a, mut to_a)) = (a.into_halves(), b.into_halves());
    let sends_a = async {
        to_b.write_all(&much(1)).await.expect("a peer");
        to_b.flush().await.expect("a peer");
        drop(to_b);
    };
    let sends_b = async {
        to_a.write_all(&much(2)).await.expect("a peer");
        to_a.shutdown().await.expect("a peer");
    };
    let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
    let (_, _, a, b) = tokio::join!(sends_a, sends_b, from_b.read_to_end(&mut at_a), from_a.read_to_end(&mut at_b));
    assert_eq!((a.expect("the end"), b.expect("the end")), (MUCH, MUCH));
    assert!(at_a == much(2) && at_b == much(1));
}

/// As at the start of a deployment: the connection was made in one runtime and is used in another, in the middle of
/// what travels. The first runtime is gone by then.
#[test]
fn a_connection_moves_to_another_runtime() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("one");
    let (first, second, third) = (runtime(), runtime(), runtime());
    let (mut a, mut b) = first.block_on(connected(&Authority::new()));
    first.block_on(async {
        a.write_all(b"before, and some that is not read before it moves").await.expect("a peer");
        a.flush().await.expect("a peer");
        let mut bytes = [0; 6];
        b.read_exact(&mut bytes).await.expect("a greeting");
        assert_eq!(&bytes, b"before");
    });
    let (tell, told) = sync_channel(1);
    let b = second.block_on(async { b.into_here().expect("a socket") });
    let a = third.block_on(async { a.into_here().expect("a socket") });
    drop(first);
    let (_from_b, mut to_b) = a.into_halves();
    let (mut from_a, _to_a) = b.into_halves();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            third.block_on(async {
                to_b.write_all(&much(3)).await.expect("a peer");
                drop(to_b);
            });
        });
        scope.spawn(|| {
            let mut all = Vec::new();
            second.block_on(from_a.read_to_end(&mut all)).expect("the end");
            tell.send(all).expect("the test waits");
        });
        let all = told.recv_timeout(Duration::from_secs(60)).expect("all of it");
        let rest = b", and some that is not read before it moves";
        assert!(all[..rest.len()] == *rest && all[rest.len()..] == much(3));
    });
}

/// Who does not read holds nobody up, and the end of a half that is dropped comes nevertheless.
#[tokio::test]
async fn who_does_not_read_gets_the_end_at_last() {
    let (a, b) = connected(&Authority::new()).await;
    let (_from_b, mut to_b) = a.into_halves();
    let chunk = vec![7; 64 * 1024];
    let full = async { while to_b.write_all(&chunk).await.is_ok() {} };
    assert!(timeout(Duration::from_millis(300), full).await.is_err(), "somebody reads");
    drop(to_b);
    let (mut from_a, _to_a) = b.into_halves();
    let mut all = Vec::new();
    let read = timeout(Duration::from_secs(20), from_a.read_to_end(&mut all)).await.expect("the end");
    assert!(read.expect("what was sent") > 64 * 1024 && all.iter().all(|byte| *byte == 7));
}

/// As when a process is killed: no last word of TLS.
#[tokio::test]
async fn a_connection_that_is_cut_off_ends_as_one_without_tls() {
    let authority = Authority::new();
    let tls = Tls::new(Arc::new(Tcp), authority.credentials(&["127.0.0.1"]));
    let mut listener = tls.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port");
    let port = listener.local_address().expect("an address").port();
    let accepts = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.begin().await.expect("a peer");
        stream
    };
    let (a, mut b) = tokio::join!(tls.connect("127.0.0.1", port), accepts);
    sleep(Duration::from_millis(1)).await;
    drop(a);
    assert_eq!(b.read(&mut [0; 10]).await.expect("the end"), 0);
}

#[test]
fn what_is_wrong_with_a_file_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let (authority, other) = (Authority::new(), Authority::new());
    let made = authority.make(&["localhost"], |_| {});
    let expired = authority.make(&["localhost"], |params| params.not_after = date_time_ymd(2001, 1, 1));
    let number = std::cell::Cell::new(0);
    let write = |text: &str, mode: u32| {
        number.set(number.get() + 1);
        let path = directory.path().join(number.get().to_string());
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("permissions");
        path
    };
    let cert = write(&made.certificate.pem(), 0o644);
    let key = write(&made.key.serialize_pem(), 0o600);
    let ca = write(&(other.certificate.pem() + &authority.certificate.pem()), 0o644);
    let good = TlsFiles { cert, key, ca };
    assert_eq!(format!("{:?}", Credentials::read(&good).expect("good")), "Credentials(…)");

    let with_key = |text: &str, mode| TlsFiles { key: write(text, mode), ..good.clone() };
    let with_cert = |text: &str| TlsFiles { cert: write(text, 0o644), ..good.clone() };
    let with_ca = |text: &str| TlsFiles { ca: write(text, 0o644), ..good.clone() };
    let broken = "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n";
    for (files, what, why) in [
        (with_key(&made.key.serialize_pem(), 0o640), "key", "others can get at it (mode 0640); do `chmod 600"),
        (with_key(&expired.key.serialize_pem(), 0o600), "key", "it is not that of the certificate"),
        (with_key("nothing", 0o600), "key", "there is no key in it"),
        (with_cert("nothing"), "certificate", "there is no certificate in it"),
        (with_cert(broken), "certificate", "it cannot be read as PEM"),
        (with_cert(&"x".repeat(MAX_PEM + 1)), "certificate", "it is longer than 1048576 bytes"),
        (with_cert(&expired.certificate.pem()), "certificate", "the certificate has expired"),
        (with_ca(&other.certificate.pem()), "certificate", "not signed by the CA of --tls-ca"),
        (with_ca(""), "CA", "there is no certificate in it"),
    ] {
        let said = Credentials::read(&files).expect_err(why).to_string();
        assert!(said.starts_with(&format!("{what} file `")) && said.contains(why), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
    let missing = TlsFiles { key: directory.path().join("missing"), ..good };
    let said = Credentials::read(&missing).expect_err("missing").to_string();
    assert!(said.contains("key file `") && said.contains("missing` cannot be read: No such file"), "{said}");
}

#[test]
fn hosts_have_names_that_certificates_can_have() {
    for host in ["localhost", "host-a.example.org", "127.0.0.1", "::1", "fe80::1%eth0", "under_score", "a"] {
        assert!(name(host).is_ok(), "{host}");
    }
    for host in ["", "a b", "-", "ü"] {
        assert!(name(host).is_err(), "{host}");
    }
}
