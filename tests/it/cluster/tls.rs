//! Nodes with TLS: they work as without, and say why when certificates are not as they should be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};

use super::node::{Host, Node, PATIENCE, free_port};
use crate::cli::process::{Ended, run};

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/workflows/texts/constitution.txt");

/// Connections at a time, of which none says what it should.
const CROWD: usize = 600;

/// A CA, whose files are in a directory.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// The files of a node that others reach by this host, below a directory. Gives the options that name them.
    fn node(&self, directory: &Path, host: &str, change: impl FnOnce(&mut CertificateParams)) -> Vec<String> {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let directory = tempfile::Builder::new().disable_cleanup(true).tempdir_in(directory).expect("a directory");
        let write = |name: &str, text: String| -> PathBuf {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("permissions");
            path
        };
        let files = [
            ("--tls-cert", write("cert.pem", certificate.pem())),
            ("--tls-key", write("key.pem", key.serialize_pem())),
            ("--tls-ca", write("ca.pem", self.certificate.pem())),
        ];
        files.iter().flat_map(|(option, path)| [(*option).to_owned(), path.display().to_string()]).collect()
    }
}

fn worker(host: &Host, name: &str, options: &[String]) -> Node {
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    host.worker(name, &[&["--no-shutdown-with-master"], &options[..]].concat())
}

fn master(host: &Host, arguments: &[&str], options: &[String]) -> Ended {
    let options = options.iter().map(String::as_str);
    let arguments: Vec<&str> = options.chain(arguments.iter().copied()).collect();
    host.master(&arguments)
}

/// The worker cannot be connected to, for this reason.
fn refused(master: &Ended, reason: &str, part: &str) {
    let start = format!("Could not connect to `w1@localhost`: {reason}: ");
    let line = master.stderr.lines().find(|line| line.contains(&start));
    assert!(line.is_some_and(|line| line.contains(part)), "{reason}, {part}: {}", master.stderr);
}

#[test]
fn words_are_counted_over_two_workers_with_tls() {
    let (host, authority) = (Host::new(), Authority::new());
    let tls = authority.node(host.directory(), "localhost", |_| {});
    let (_first, second) = (worker(&host, "w1", &tls), worker(&host, "w2", &tls));
    let words = |output: &str, options: &[String]| {
        let arguments = ["w1@localhost", "w2@localhost", "-d", "wordcount", "--", "--input", TEXT, "--output", output];
        master(&host, &arguments, options).expect(0);
        let written = std::fs::read_to_string(host.directory().join(output)).expect("the file");
        let mut lines: Vec<String> = written.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let counted = words("tls.tsv", &tls);
    let local = ["local", "-d", "wordcount", "--", "--input", TEXT, "--output", "local.tsv"];
    run(host.command(local), [""; 0]).expect(0);
    let written = std::fs::read_to_string(host.directory().join("local.tsv")).expect("the file");
    let mut lines: Vec<&str> = written.lines().collect();
    lines.sort_unstable();
    assert_eq!(counted, lines);
    // And again, by options in the environment: each node can meet the next master.
    let mut command = host.command(["master", "start", "w1@localhost", "w2@localhost", "-d", "hello"]);
    for pair in tls.chunks(2) {
        command.env(format!("SKITTER_{}", pair[0].trim_start_matches('-').replace('-', "_").to_uppercase()), &pair[1]);
    }
    Node::start(command).ended().expect(0);
    // A worker that is killed is missed.
    second.signal(rustix::process::Signal::KILL);
}

#[test]
fn a_certificate_of_another_ca_is_refused_on_both_sides() {
    let (host, authority, other) = (Host::new(), Authority::new(), Authority::new());
    let tls = authority.node(host.directory(), "localhost", |_| {});
    let worker = worker(&host, "w1", &tls);
    let strange = other.node(host.directory(), "localhost", |_| {});
    refused(&master(&host, &["w1@localhost"], &strange).expect(3), "not_skitter", "not signed by the CA of --tls-ca");
    worker.says("it does not take this node's certificate: it is not signed by the CA that the other node has");
    // It knows the CA, but has a certificate of another one, and thinks nothing of that: its --tls-ca has both.
    let both = other.node(host.directory(), "localhost", |_| {});
    let text = other.certificate.pem() + &authority.certificate.pem();
    std::fs::write(&both[5], text).expect("written");
    refused(&master(&host, &["w1@localhost"], &both).expect(3), "not_skitter", "not signed by the CA that the other");
    worker.says("not_skitter: the certificate is not signed by the CA of --tls-ca");
    // For another host.
    let elsewhere = authority.node(host.directory(), "elsewhere", |_| {});
    let _second = host.worker("w2", &elsewhere.iter().map(String::as_str).collect::<Vec<_>>());
    let ended = master(&host, &["w2@localhost"], &tls).expect(3);
    assert!(
        ended.stderr.contains("the certificate is not for `localhost`, but for DnsName(\"elsewhere\")"),
        "{ended:?}"
    );
    master(&host, &["w1@localhost"], &tls).expect(0);
}

#[test]
fn tls_on_one_side_only_is_said_on_both() {
    let (host, authority) = (Host::new(), Authority::new());
    let tls = authority.node(host.directory(), "localhost", |_| {});
    for (worker_has, master_has) in [(true, false), (false, true)] {
        let options = |has: bool| if has { tls.clone() } else { Vec::new() };
        let worker = worker(&host, "w1", &options(worker_has));
        let ended = master(&host, &["w1@localhost"], &options(master_has)).expect(3);
        refused(&ended, "incompatible", "one of the two nodes has TLS and the other one has not; give --tls-cert, ");
        worker.says("incompatible: one of the two nodes has TLS and the other one has not");
    }
}

#[test]
fn probes_of_a_port_with_tls_harm_nobody() {
    let (host, authority) = (Host::new(), Authority::new());
    let tls = authority.node(host.directory(), "localhost", |_| {});
    let port = free_port();
    let listen = ["--listen".to_owned(), format!("127.0.0.1:{port}")];
    let worker = worker(&host, "w1", &[&listen[..], &tls].concat());
    let mut open = Vec::new();
    for said in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"SKTR", &[0xff; 10_000]] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        // It may be closed by now.
        let _ = stream.write_all(said);
        if said.len() > 5 {
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.len() < 64, "{} bytes for a stranger", answer.len());
        }
        open.push(stream);
    }
    worker.says("not_skitter: it does not speak TLS");
    master(&host, &["w1@localhost"], &tls).expect(0);
    // Those that say nothing, or not all, keep nobody out, and take no memory worth speaking of.
    let before = worker.memory();
    for number in 0..CROWD {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        // The head of a record that is as long as one can be, and a part of it.
        let said: &[u8] = if number % 2 == 0 { b"" } else { &[0x16, 0x03, 0x01, 0x40, 0x00, 0x01, 0x00, 0x3f, 0xfc] };
        let _ = stream.write_all(said);
        open.push(stream);
    }
    master(&host, &["w1@localhost"], &tls).expect(0);
    let now = worker.memory();
    assert!(now < before + 24 * 1024, "{before} KB before, {now} KB now");
}

#[test]
fn files_that_cannot_be_used_are_named_before_the_node_starts() {
    let (host, authority, other) = (Host::new(), Authority::new(), Authority::new());
    let tls = authority.node(host.directory(), "localhost", |_| {});
    let start = |mode: &str, options: &[String]| -> String {
        let command: Command =
            host.command([mode, "start"].iter().map(|word| (*word).to_owned()).chain(options.to_vec()));
        let ended = run(command, [""; 0]).expect(5);
        assert_eq!(ended.stdout, "");
        ended.stderr
    };
    let expired = authority.node(host.directory(), "localhost", |params| params.not_after = date_time_ymd(2001, 1, 1));
    let open = authority.node(host.directory(), "localhost", |_| {});
    std::fs::set_permissions(&open[3], PermissionsExt::from_mode(0o644)).expect("permissions");
    let strange = [&tls[..4], &other.node(host.directory(), "localhost", |_| {})[4..]].concat();
    let key = [&tls[..2], &expired[2..]].concat();
    let missing = [&tls[..4], &["--tls-ca".to_owned(), "missing.pem".to_owned()]].concat();
    for mode in ["worker", "master"] {
        for (options, part) in [
            (&tls[..2], "TLS: --tls-cert, --tls-key and --tls-ca go together; missing: --tls-key, --tls-ca"),
            (&tls[2..], "missing: --tls-cert"),
            (&expired, "cert.pem`: the certificate has expired"),
            (&open, "key.pem`: others can get at it (mode 0644); do `chmod 600 "),
            (&strange, "cert.pem`: the certificate is not signed by the CA of --tls-ca"),
            (&key, "key.pem`: it is not that of the certificate"),
            (&missing, "CA file `missing.pem` cannot be read: No such file"),
        ] {
            let said = start(mode, options);
            assert!(said.starts_with("error: ") && said.contains(part), "{part}: {said}");
        }
    }
}
