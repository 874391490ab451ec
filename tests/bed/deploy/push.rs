//! Releases that are sent to hosts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use skitter::release::{Manifest, Sum, hex, verify};

use super::Site;
use crate::program::{Ended, Program};

/// Where releases are sent to.
const PLACE: &str = "/tmp/place";

/// A site where host-a has a release of the application `app`, and nobody has one at [`PLACE`].
pub fn site(hosts: usize) -> Site {
    let mut site = Site::new(hosts);
    for name in ["app", "place", "extra"] {
        site.cluster.knows(name);
    }
    // With all that debuggers want, it would be ten times as large.
    let disk = site.cluster.bed.disk("host-a");
    fs::create_dir_all(disk.join("app/bin")).expect("room");
    let program = disk.join("app/bin/skitter");
    let stripped = Command::new("strip").arg("-o").arg(&program).arg(disk.join("skitter")).status();
    assert!(stripped.expect("binutils are there").success());
    fs::write(disk.join("app/skitter.toml"), "# nothing\n").expect("room");
    seal(&disk.join("app"));
    site
}

/// Makes a directory a release of what is in it.
fn seal(directory: &Path) {
    let program = fs::read(directory.join("bin/skitter")).expect("it");
    let build = blake3::hash(&program).to_hex().to_string();
    let mut manifest = Manifest::new("app", "1.2.3", env!("CARGO_PKG_VERSION"), "here", build);
    for path in ["bin/skitter", "skitter.toml", "data"] {
        let Ok(bytes) = fs::read(directory.join(path)) else { continue };
        let sum = Sum { sha256: hex(&sha2::Digest::finalize(sum_of(&bytes))), size: bytes.len() as u64 };
        manifest.files.insert(path.to_owned(), sum);
    }
    fs::write(directory.join("RELEASE.json"), serde_json::to_vec(&manifest).expect("JSON")).expect("room");
}

fn sum_of(bytes: &[u8]) -> sha2::Sha256 {
    let mut sum = <sha2::Sha256 as sha2::Digest>::new();
    sha2::Digest::update(&mut sum, bytes);
    sum
}

impl Site {
    pub fn push(&self, arguments: &[&str]) -> Program {
        let start = ["/tmp/app/bin/skitter", "deploy", "--working-dir", PLACE, "--ssh-config", "/tmp/ssh/client"];
        let more = ["--cookie-file", "/tmp/cookie"];
        self.cluster.bed.start("host-a", &[&start[..], &more, arguments].concat())
    }

    /// The release that counts on a host, and that it is whole.
    fn current(&self, host: &str) -> String {
        let place = self.cluster.bed.disk(host).join("place");
        let current = fs::read_link(place.join("current")).expect("one counts");
        verify(&place.join(&current)).expect("it is as it was made");
        current.to_str().expect("UTF-8").to_owned()
    }

    /// What is on a host beside releases that are whole.
    fn parts(&self, host: &str) -> Vec<PathBuf> {
        let releases = self.cluster.bed.disk(host).join("place/releases");
        let entries = fs::read_dir(releases).into_iter().flatten().map(|entry| entry.expect("an entry").path());
        entries
            .filter(|path| path.to_str().is_some_and(|path| path.ends_with(".part") || path.ends_with(".new")))
            .collect()
    }
}

/// How much was sent to each host, in MB.
fn sent(ended: &Ended) -> BTreeMap<String, f64> {
    let words = ended.stdout.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let sent = words.filter_map(|words| match words[..] {
        ["*", "sending", _, "to", host, "✓", size, "MB", ..] => {
            Some((host.to_owned(), size.parse().expect("a number")))
        }
        _ => None,
    });
    sent.collect()
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_release_is_sent_counts_and_is_gone_back_from() {
    let site = site(3);
    let ended = site.push(&["--push", "host-a", "host-b", "host-c"]).ended().with(0);
    assert_eq!(sent(&ended).len(), 3, "{}", ended.stdout);
    assert!(ended.stdout.contains("> options:  working-dir=/tmp/place push\n"), "{}", ended.stdout);
    let first = site.current("host-b");
    assert!(first.starts_with("releases/1.2.3-"), "{first}");
    assert_eq!(site.current("host-c"), first);

    // What is there is not sent again, nor does it have to be asked for.
    let ended = site.push(&["--push", "host-b", "host-c"]).ended().with(0);
    assert_eq!(sent(&ended).len(), 0, "{}", ended.stdout);
    site.push(&["host-b", "host-c"]).ended().with(0);

    // Another build.
    let app = site.cluster.bed.disk("host-a").join("app");
    let mut program = fs::read(app.join("bin/skitter")).expect("it");
    program.push(0);
    fs::remove_file(app.join("bin/skitter")).expect("there");
    fs::write(app.join("bin/skitter"), program).expect("room");
    fs::set_permissions(app.join("bin/skitter"), PermissionsExt::from_mode(0o755)).expect("ours");
    seal(&app);
    let said = site.push(&["host-b", "host-c"]).ended().with(6).stdout;
    assert!(said.contains("✗ host-b  another build is in `/tmp/place`"), "{said}");
    let ended = site.push(&["--push", "host-b"]).ended().with(0);
    assert_eq!(sent(&ended).len(), 1, "{}", ended.stdout);
    let second = site.current("host-b");
    assert_ne!(second, first);

    // Nothing is changed on any host if one cannot go back.
    let said = site.push(&["--rollback", "host-b", "host-c"]).ended().with(6).stdout;
    assert!(said.contains("✗ host-c  another release counts there"), "{said}");
    assert_eq!(site.current("host-b"), second);
    let said = site.push(&["--rollback", "host-b"]).ended().with(0).stdout;
    assert!(said.contains(&format!("* {first} counts again on host-b ✓")), "{said}");
    assert_eq!(site.current("host-b"), first);
    site.push(&["--rollback", "host-b"]).ended().with(6);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_copy_that_was_cut_goes_on() {
    let site = site(2);
    let bed = &site.cluster.bed;
    let mut number = 1u64;
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 56) as u8
    };
    let data: Vec<u8> = (0..40_000_000).map(|_| next()).collect();
    fs::write(bed.disk("host-a").join("app/data"), data).expect("room");
    seal(&bed.disk("host-a").join("app"));
    // What host-b says comes late, so the copy takes seconds: ssh sends no more than 2 MB that were not heard of.
    bed.order(&["delay", "host-b", "150"]);
    let push = site.push(&["--push", "--json", "host-b"]);
    push.wait_for_output(r#""event":"sending""#, 1);
    bed.start("host-a", &["sh", "-c", "kill -9 $(pgrep -x skitter)"]).ended().with(0);
    push.ended();
    bed.order(&["delay", "host-b", "0"]);
    // Until nobody writes to it any more.
    bed.start("host-b", &["sh", "-c", "flock /tmp/place/releases/*.part true"]).ended().with(0);
    let [part] = &site.parts("host-b")[..] else { panic!("a part is kept") };
    let kept = fs::metadata(part).expect("a file").size();
    // Which removes the files of the one that was killed, too.
    let ended = site.push(&["--push", "host-b"]).ended().with(0);
    let rest = sent(&ended)["host-b"];
    site.current("host-b");
    assert_eq!(site.parts("host-b"), [""; 0].map(PathBuf::from));

    // All of it is sent when what is kept is damaged.
    let place = bed.disk("host-b").join("place");
    fs::remove_dir_all(place.join(site.current("host-b"))).expect("there");
    fs::write(part, vec![7; kept as usize]).expect("room");
    let ended = site.push(&["--push", "host-b"]).ended().with(0);
    let all = sent(&ended)["host-b"];
    assert!((all - rest - kept as f64 / 1e6).abs() < 0.2, "{all} MB are {rest} MB and {kept} bytes");
    site.current("host-b");
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_without_room_is_named_and_keeps_nothing() {
    let site = site(3);
    fs::create_dir(site.cluster.bed.disk("host-b").join("place")).expect("room");
    let mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", PLACE];
    site.cluster.bed.start("host-b", &mount).ended().with(0);
    fs::create_dir(site.cluster.bed.disk("host-c").join("place")).expect("room");
    let mount = ["mount", "-t", "tmpfs", "-o", "ro", "none", PLACE];
    site.cluster.bed.start("host-c", &mount).ended().with(0);

    let said = site.push(&["--push", "host-a", "host-b", "host-c"]).ended().with(6).stdout;
    assert!(said.contains("Nothing was started, because some hosts are not ready:"), "{said}");
    let full = said.lines().find(|line| line.starts_with("✗ host-b  ")).expect("host-b is named");
    assert!(full.contains("No space left on device; see to room"), "{full}");
    let foreign = said.lines().find(|line| line.starts_with("✗ host-c  ")).expect("host-c is named");
    assert!(foreign.contains("Read-only file system"), "{foreign}");
    let left = site.cluster.bed.start("host-b", &["ls", "/tmp/place/releases"]).ended().with(0).stdout;
    assert_eq!(left, "");
    // The release was sent where there is room, but it does not count.
    assert!(!site.cluster.bed.disk("host-a").join("place/current").exists());
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_directory_of_files_is_what_workers_run_in() {
    let site = site(2);
    let bed = &site.cluster.bed;
    let extra = bed.disk("host-a").join("extra");
    fs::create_dir_all(extra.join("texts")).expect("room");
    fs::write(extra.join("secret"), "of one user").expect("room");
    fs::set_permissions(extra.join("secret"), PermissionsExt::from_mode(0o600)).expect("ours");
    fs::write(extra.join("texts/one"), "so it goes so").expect("room");
    let count = ["--push", "--directory", "/tmp/extra", "host-b", "-d", "wordcount", "--", "--input", "texts/one"];
    let ended = site.push(&[&count[..], &["--output", "counts.tsv"]].concat()).ended().with(0);
    assert!(sent(&ended).contains_key("host-b"), "{}", ended.stdout);
    let place = bed.disk("host-b").join("place");
    let files: Vec<_> = fs::read_dir(place.join("files")).expect("they were sent").collect();
    assert_eq!(files.len(), 1);
    let files = files.into_iter().next().expect("one").expect("an entry").path();
    let counts = fs::read_to_string(files.join("counts.tsv")).expect("they run there");
    assert!(counts.contains("so\t2"), "{counts}");
    assert_eq!(fs::metadata(files.join("secret")).expect("sent").permissions().mode() & 0o777, 0o600);
    // Logs are where they always are.
    assert!(place.join("logs/skitter_worker@host-b.log").exists());
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_with_several_workers_gets_one_copy_with_its_configuration() {
    let site = site(2);
    let app = site.cluster.bed.disk("host-a").join("app");
    fs::write(app.join("skitter.toml"), "tag = [\"of-the-release\"]\n").expect("room");
    seal(&app);
    let workers = ["w1@host-b", "w2@host-b", "w3@host-b"];
    let ended = site.push(&[&["--push"], &workers[..]].concat()).ended().with(0);
    assert_eq!(ended.stdout.matches("* sending ").count(), 1, "{}", ended.stdout);
    ended.said(&["Connected to `w3@host-b`, tags: [of-the-release]"]);
    let first = site.current("host-b");

    // The same program with another configuration is another release.
    fs::write(app.join("skitter.toml"), "tag = [\"another\"]\n").expect("room");
    seal(&app);
    // What workers of this host have left there is no part of it.
    fs::write(app.join("counts.tsv"), "a result").expect("room");
    let ended = site.push(&[&["--push"], &workers[..]].concat()).ended().with(0);
    ended.said(&["Connected to `w1@host-b`, tags: [another]"]);
    assert_ne!(site.current("host-b"), first);
    let said = site.push(&[&["--rollback"], &workers[..]].concat()).ended().with(0).stdout;
    assert_eq!(said.matches(" counts again on ").count(), 1, "{said}");
    assert_eq!(site.current("host-b"), first);
    site.leaves_nothing();
}
