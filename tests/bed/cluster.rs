//! Nodes on the hosts of a testbed, and a text that they count the words of.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::bed::Bed;
use super::oracle::{sums, written};
use super::program::{self, PATIENCE, Program};

const CONSTITUTION: &str = include_str!("../../workflows/texts/constitution.txt");

/// What a pipe has room for, in bytes.
const ROOM: usize = 64 * 1024;

/// How often the text is repeated in what is fed through a pipe.
pub const FED: usize = 4;

/// What nodes leave on the disks that they run on, apart from what was there: nothing but the counts.
const COUNTS: &str = "counts.tsv";

/// The sums that are written by the workflow that shows whether something was lost.
pub const SUMS: &str = "sums.tsv";

/// How many keys it has.
const KEYS: u64 = 1000;

/// No checkpoints, unless an option says so.
pub const ONCE: &str = "SKITTER_CHECKPOINT_INTERVAL=off";

/// Where nodes keep their state: directories stay.
const STATE: &str = ".local";

/// Hosts with the program, a cookie and texts on their disks.
pub struct Cluster {
    pub bed: Bed,
    files: Vec<String>,
}

impl Cluster {
    /// This many hosts, with the bundled workflows.
    pub fn new(hosts: usize) -> Cluster {
        let other = std::env::var_os("SKITTER_BED_PROGRAM").map(PathBuf::from);
        Cluster::with(hosts, other.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_skitter"))))
    }

    /// This many hosts, with a workflow that shows whether something was lost. It writes [`SUMS`].
    pub fn exact(hosts: usize) -> Cluster {
        let mut cluster = Cluster::with(hosts, program::exact());
        cluster.knows(SUMS);
        cluster
    }

    fn with(hosts: usize, program: &Path) -> Cluster {
        let bed = Bed::up(hosts);
        let mut cluster = Cluster { bed, files: vec!["skitter".to_owned()] };
        let first = cluster.disks().next().expect("a host");
        if fs::hard_link(program, first.join("skitter")).is_err() {
            fs::copy(program, first.join("skitter")).expect("room for it");
        }
        for disk in cluster.disks().skip(1) {
            fs::hard_link(first.join("skitter"), disk.join("skitter")).expect("the same file system");
        }
        cluster.put("cookie", "a secret of this test");
        for disk in cluster.disks() {
            fs::set_permissions(disk.join("cookie"), PermissionsExt::from_mode(0o600)).expect("ours");
        }
        cluster
    }

    fn disks(&self) -> impl Iterator<Item = PathBuf> {
        self.bed.hosts().map(|host| self.bed.disk(host))
    }

    /// There may be a file of this name on the disks, or a directory.
    pub fn knows(&mut self, name: &str) {
        self.files.push(name.to_owned());
    }

    /// Puts a file on all disks.
    pub fn put(&mut self, name: &str, text: &str) {
        self.disks().for_each(|disk| fs::write(disk.join(name), text).expect("room for it"));
        self.files.push(name.to_owned());
    }

    /// Puts a text on all disks that takes longer to read than any test lasts; its files are of this pattern.
    pub fn put_endless_text(&mut self) -> &'static str {
        let name = |number| format!("endless-{number}");
        self.put(&name(0), &text(100));
        for number in 1..500 {
            let link = |disk: PathBuf| fs::hard_link(disk.join(name(0)), disk.join(name(number)));
            self.disks().for_each(|disk| link(disk).expect("the same file system"));
            self.files.push(name(number));
        }
        "/tmp/endless-*"
    }

    /// Puts a pipe on all disks, with the begin of a text of which the rest comes when the test wants it.
    pub fn put_feed(&mut self) -> Feed {
        let text = text(FED);
        let make = |disk: PathBuf| {
            let path = disk.join("feed");
            mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
            // Opened for reading, too, it does not wait for a reader.
            let mut pipe = OpenOptions::new().read(true).write(true).open(path).expect("ours");
            pipe.write_all(&text.as_bytes()[..ROOM]).expect("room for it");
            pipe
        };
        let pipes = self.disks().map(make).collect();
        self.files.push("feed".to_owned());
        Feed { pipes, text, at: ROOM }
    }

    /// Starts a worker called `w` on a host; returns when it can be reached.
    pub fn worker(&self, host: &str, arguments: &[&str]) -> Program {
        let start = ["/tmp/skitter", "worker", "start", "--name", "w", "--cookie-file", "/tmp/cookie", "--cores", "1"];
        let worker = self.bed.start(host, &[&start, arguments].concat());
        worker.wait_for(&format!("Reachable at `w@{host}`"));
        worker
    }

    /// Starts a master called `m` on a host. A failure is the end, unless it is told to take checkpoints.
    pub fn master(&self, host: &str, arguments: &[&str]) -> Program {
        let start = ["env", ONCE, "/tmp/skitter", "master", "start", "--name", "m", "--cookie-file", "/tmp/cookie"];
        self.bed.start(host, &[&start, arguments].concat())
    }

    /// What was counted; none if there is no file of counts. There must be at most one, with each word once.
    pub fn counts(&self) -> Option<BTreeMap<String, u64>> {
        let mut files = self.disks().filter_map(|disk| fs::read_to_string(disk.join(COUNTS)).ok());
        let file = files.next()?;
        assert_eq!(files.next(), None, "one host has the counts");
        let mut counts = BTreeMap::new();
        for line in file.lines() {
            let (word, count) = line.split_once('\t').expect("a tab");
            let before = counts.insert(word.to_owned(), count.parse().expect("a number"));
            assert_eq!(before, None, "{word} twice");
        }
        Some(counts)
    }

    /// Checks that each number up to this one counts once, and in order.
    #[track_caller]
    pub fn is_exact(&self, count: u64) {
        let mut files = self.disks().map(|disk| disk.join(SUMS)).filter(|file| file.exists());
        let file = files.next().expect("sums");
        assert_eq!(files.next(), None, "one host has the sums");
        assert!(written(&file) == sums(count, KEYS), "the sums differ: {:?}", written(&file));
    }

    /// Checks that no process is left on a host that lives, and no file on the disks but those that were put there, the
    /// counts, and where nodes keep their state. What a host that lost its power was writing may be there.
    #[track_caller]
    pub fn leaves_nothing(&self) {
        for line in self.bed.order(&["status"]).lines() {
            assert!(line.contains(" processes=0"), "something is left: {line}");
            let host = line.split(' ').next().expect("a name");
            for entry in fs::read_dir(self.bed.disk(host)).expect("a disk") {
                let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
                if line.contains(" dead ") || self.files.contains(&name) || name == COUNTS {
                    continue;
                }
                assert!(name == STATE, "{name} is left on {host}");
            }
        }
    }
}

/// A text in pieces, for whoever reads the pipe.
pub struct Feed {
    /// That of each host. Only one is read: that of the worker whose turn it is.
    pipes: Vec<File>,
    text: String,
    /// How much of it has been written.
    at: usize,
}

impl Feed {
    /// The pipe on the hosts.
    pub const PATH: &str = "/tmp/feed";

    /// Waits until the workflow runs: its source has read what there is.
    pub fn is_read(&mut self) {
        // They are full, so that there is room in one when it has been read.
        let mut room: Vec<PollFd<'_>> = self.pipes.iter().map(|pipe| PollFd::new(pipe, PollFlags::OUT)).collect();
        let limit = Timespec::try_from(PATIENCE).expect("seconds");
        assert_eq!(poll(&mut room, Some(&limit)), Ok(1), "nobody reads");
        let read = room.iter().position(|pipe| !pipe.revents().is_empty()).expect("one of them");
        self.pipes = vec![self.pipes.swap_remove(read)];
    }

    /// Writes a little more, which does not wait.
    pub fn write_some(&mut self) {
        self.write(ROOM / 2);
    }

    /// Writes the rest, and ends.
    pub fn write_rest(mut self) {
        self.write(self.text.len() - self.at);
    }

    fn write(&mut self, bytes: usize) {
        self.pipes[0].write_all(&self.text.as_bytes()[self.at..][..bytes]).expect("it is read");
        self.at += bytes;
    }
}

/// A text of 45 KB, this many times.
pub fn text(times: usize) -> String {
    CONSTITUTION.repeat(times)
}

/// The words of that text, counted without Skitter.
pub fn expected(times: usize) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in CONSTITUTION.split_whitespace() {
        *counts.entry(word.to_owned()).or_insert(0) += times as u64;
    }
    assert_eq!(counts.values().sum::<u64>(), 7670 * times as u64, "as `wc -w` says");
    counts
}
