//! Logging in to a host by ssh.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use openssh::{Child, ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, geteuid, getpid, kill_process};
use tempfile::TempDir;
use tokio::time::timeout;

use super::trouble::{Trouble, chain};

/// How long ssh may take to reach a host, and to agree on keys with it.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a login may take in all. A host that has hung itself in the middle of it is not waited for longer.
const LOGIN: Duration = Duration::from_secs(15);

/// How often ssh asks whether the host is there while nothing is said. After three times without an answer it is lost.
const ALIVE: Duration = Duration::from_secs(5);

/// How long ssh keeps a connection that nobody uses, in seconds: longer than from the login to the start of the agent,
/// which then uses it until the end.
const IDLE: NonZeroUsize = NonZeroUsize::new(3).expect("not zero");

/// How often a process that is being started is looked at.
const MOST_LOOKS: usize = 1000;

/// How often a directory is made that somebody else has taken for left behind, before it was locked.
const ATTEMPTS: usize = 16;

/// Where the files of a login are: the name of a socket has room for a hundred bytes.
const SHORTEST: &str = "/tmp";

/// How the directory of a login is called, before some letters of its own.
const PREFIX: &str = "skitter-ssh-";

/// How ssh is told to connect.
#[derive(Clone, Debug, Default)]
pub struct SshOptions {
    /// A configuration file in the place of the user's and the system's.
    pub config: Option<PathBuf>,
    /// Options as they stand in such a file, `KEY=VALUE`; they come before the files.
    pub options: Vec<String>,
    /// Trust a host that was not seen before.
    pub accept_new: bool,
}

/// Logs in to hosts. Its sessions end when it is dropped, also those that are not there yet, and its files are gone.
#[derive(Debug)]
pub struct Login {
    builder: SessionBuilder,
    path: PathBuf,
    directory: Option<TempDir>,
    /// Shows others that the directory is in use.
    _lock: File,
}

/// An ssh that was told to log in lets go of this process as soon as it has, and before that it would wait for a host
/// that says nothing. It is known by the directory of its socket, which is in its arguments.
impl Drop for Login {
    fn drop(&mut self) {
        for process in naming(&self.path) {
            // It may have ended meanwhile.
            let _ = kill_process(process, Signal::TERM);
        }
    }
}

/// A directory that nobody else removes as long as the file is open.
fn locked() -> io::Result<(TempDir, File)> {
    let mut swept = io::Error::other("others remove it");
    for _ in 0..ATTEMPTS {
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(SHORTEST).or_else(|_| TempDir::new())?;
        let lock = File::open(directory.path()).and_then(|file| {
            flock(&file, FlockOperation::LockShared)?;
            Ok(file)
        });
        match lock {
            Ok(lock) if directory.path().exists() => return Ok((directory, lock)),
            Ok(_) => {}
            Err(error) => swept = error,
        }
    }
    Err(swept)
}

/// Keeps a session busy as long as this is held: one that nobody uses ends, and what is to be done next may take a
/// while to prepare here.
#[derive(Debug)]
pub struct Held {
    _program: Child<Arc<Session>>,
}

/// Holds a session.
///
/// # Errors
/// When it is lost.
pub async fn hold(session: &Arc<Session>) -> Result<Held, Trouble> {
    let mut command = Arc::clone(session).arc_command("cat");
    // It ends with its input, which ends with this process.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let program = command.spawn().await.map_err(|error| Trouble::Login(chain(&error)))?;
    Ok(Held { _program: program })
}

/// Removes what was left by those who were killed.
fn sweep(place: &Path) {
    let own = |entry: &fs::DirEntry| {
        let ours = entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
        ours && entry.file_name().as_bytes().starts_with(PREFIX.as_bytes())
    };
    for entry in fs::read_dir(place).into_iter().flatten().flatten().filter(own) {
        let free = |directory: &File| flock(directory, FlockOperation::NonBlockingLockExclusive).is_ok();
        if File::open(entry.path()).is_ok_and(|directory| free(&directory)) {
            // If it cannot be removed, it is in nobody's way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Other processes with this path in their arguments.
fn naming(path: &Path) -> Vec<Pid> {
    let path = path.as_os_str().as_bytes();
    let names = |process: &Pid| arguments(*process).windows(path.len()).any(|part| part == path);
    let number = |entry: fs::DirEntry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
    let all = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(number);
    all.filter(|process| *process != getpid()).filter(names).collect()
}

/// The arguments of a process. One that this process has just started has none for some microseconds.
fn arguments(process: Pid) -> Vec<u8> {
    let read = || fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let mut arguments = read();
    if arguments.is_empty() && is_being_started(process) {
        for _ in 0..MOST_LOOKS {
            thread::yield_now();
            arguments = read();
            if !arguments.is_empty() {
                break;
            }
        }
    }
    arguments
}

/// Whether it is a child of this process that has not ended.
fn is_being_started(process: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let mut fields = status.rsplit(") ").next().unwrap_or_default().split(' ');
    fields.next() != Some("Z") && fields.next().and_then(|parent| parent.parse().ok()) == Some(getpid().as_raw_pid())
}

impl Login {
    /// Prepares it.
    ///
    /// # Errors
    /// When there is no place for its files.
    pub fn new(options: &SshOptions) -> io::Result<Login> {
        sweep(Path::new(SHORTEST));
        let (directory, lock) = locked()?;
        let own = options.config.as_deref().map(std::path::absolute).transpose()?;
        let options = &SshOptions { config: own, ..options.clone() };
        if let Some(config) = &options.config {
            let unreadable = |error| io::Error::other(format!("`{}`: {error}", config.display()));
            File::open(config).map_err(unreadable)?;
        }
        let mut builder = SessionBuilder::default();
        let check = if options.accept_new { KnownHosts::Add } else { KnownHosts::Strict };
        builder
            .known_hosts_check(check)
            .connect_timeout(CONNECT)
            .server_alive_interval(ALIVE)
            .control_persist(ControlPersist::IdleFor(IDLE))
            .control_directory(directory.path());
        if !options.options.is_empty() {
            let path = directory.path().join("config");
            fs::write(&path, config(options, std::env::home_dir().as_deref()))?;
            builder.config_file(path);
        } else if let Some(config) = &options.config {
            builder.config_file(config);
        }
        Ok(Login { builder, path: directory.path().to_owned(), directory: Some(directory), _lock: lock })
    }

    /// Nobody will be logged in to any more, and nothing be begun over the sessions that there are: the files go, so
    /// that nothing is left of them should this process be killed.
    pub fn close(&mut self) {
        self.directory = None;
    }

    /// Logs in to a host, whatever ssh's own configuration says about it: user, port, keys, hosts in between. There is
    /// no terminal, so nothing is asked.
    ///
    /// # Errors
    /// With what ssh says.
    pub async fn open(&self, host: &str) -> Result<Session, Trouble> {
        match timeout(LOGIN, self.builder.connect_mux(host)).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => Err(Trouble::Login(advice(chain(&error)))),
            Err(_) => Err(Trouble::Silent { what: "the login", limit: LOGIN }),
        }
    }
}

/// A configuration file: its first word on a matter counts.
fn config(options: &SshOptions, home: Option<&Path>) -> String {
    let mut text = String::new();
    for option in &options.options {
        text.push_str(option);
        text.push('\n');
    }
    let own = home.map(|home| home.join(".ssh/config"));
    let files = match &options.config {
        Some(config) => vec![config.clone()],
        None => own.into_iter().chain([PathBuf::from("/etc/ssh/ssh_config")]).collect(),
    };
    for file in files {
        // What the options belong to ends here.
        text.push_str(&format!("Match all\nInclude \"{}\"\n", file.display()));
    }
    text
}

/// What ssh says, and what can be done about it.
fn advice(said: String) -> String {
    let hint = if said.contains("Host key verification failed") || said.contains("No matching host key") {
        "; if you trust it, use --accept-new-host-keys, or log in once by hand"
    } else if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        "; it is another host than before, or somebody is in between"
    } else if said.contains("Permission denied") {
        "; ssh must get in without a password: by a key or an agent"
    } else {
        ""
    };
    said + hint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_before_the_files() {
        let options = SshOptions { options: vec!["Port=2222".to_owned()], ..SshOptions::default() };
        let text = config(&options, Some(Path::new("/home/u")));
        let expected =
            "Port=2222\nMatch all\nInclude \"/home/u/.ssh/config\"\nMatch all\nInclude \"/etc/ssh/ssh_config\"\n";
        assert_eq!(text, expected);
        let own = SshOptions { config: Some("c".into()), ..options };
        assert_eq!(config(&own, None), "Port=2222\nMatch all\nInclude \"c\"\n");
    }

    #[test]
    fn what_can_be_done_is_said() {
        assert!(advice("Host key verification failed.".to_owned()).contains("--accept-new-host-keys"));
        assert!(advice("x: Permission denied (publickey).".to_owned()).contains("without a password"));
        assert_eq!(advice("Connection refused".to_owned()), "Connection refused");
    }

    #[test]
    fn a_login_that_is_given_up_leaves_no_process() {
        let login = Login::new(&SshOptions::default()).expect("room for its files");
        let socket = login.path.join("socket");
        let mut command = std::process::Command::new("sh");
        let hung = command.args(["-c", "read never", "sh"]).arg(socket).stdin(std::process::Stdio::piped());
        let mut hung = hung.spawn().expect("a shell");
        let _silence = hung.stdin.take();
        drop(login);
        let ended = hung.wait().expect("it ends");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(Signal::TERM.as_raw()));
    }

    #[test]
    fn what_was_left_is_removed_and_what_is_in_use_is_not() {
        let place = tempfile::tempdir().expect("a directory");
        let [left, used, other] =
            [format!("{PREFIX}left"), format!("{PREFIX}used"), "other".to_owned()].map(|name| place.path().join(name));
        for directory in [&left, &used, &other] {
            fs::create_dir(directory).expect("made");
        }
        let lock = File::open(&used).expect("it");
        flock(&lock, FlockOperation::LockShared).expect("free");
        sweep(place.path());
        assert_eq!([&left, &used, &other].map(|directory| directory.exists()), [false, true, true]);
    }
}
