//! The progress of a bounded workflow, on a terminal and elsewhere.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tempfile::tempdir;

use super::process::{faulty, log, log_line, run, with};

/// A terminal of 100 columns: our side and that of a program.
fn terminal() -> (OwnedFd, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("granted");
    unlockpt(&ours).expect("unlocked");
    tcsetwinsize(&ours, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).expect("sized");
    let name = ptsname(&ours, Vec::new()).expect("a name").into_string().expect("UTF-8");
    let theirs = File::options().read(true).write(true).open(name).expect("its other side");
    (ours, theirs)
}

fn slow(directory: &Path) -> Command {
    let text: String = (1..=200).map(|n| if n % 50 == 10 { "ten\n" } else { "line\n" }).collect();
    std::fs::write(directory.join("lines.txt"), text).expect("written");
    let mut command = faulty(directory);
    command.env("TERM", "xterm").args(["local", "-d", "slow", "--", "--input", "lines.txt"]);
    command
}

#[test]
fn a_terminal_shows_progress_and_whole_lines() {
    let directory = tempdir().expect("a directory");
    let (ours, theirs) = terminal();
    let mut command = slow(directory.path());
    command.stdout(Stdio::null()).stderr(theirs);
    let shown = with(command, |running| {
        let (mut shown, mut ours) = (Vec::new(), File::from(ours));
        // Reading fails when nobody has the other side open any more.
        let _ = ours.read_to_end(&mut shown);
        assert_eq!(running.wait().code(), Some(0));
        String::from_utf8(shown).expect("UTF-8")
    });
    assert!(shown.contains("slow ") && shown.contains(" %, ") && shown.contains(" records/s, "), "{shown:?}");
    // What is left of each line when what was erased and drawn over is gone.
    let left = |line: &str| line.rsplit(['\r', '\u{1b}']).find(|part| part.contains("][")).map(str::to_owned);
    let lines: Vec<String> = shown.split("\r\n").filter_map(left).collect();
    let whole = |line: &String| log_line(line.trim_start_matches("[2K").trim_start_matches("[1G")).is_some();
    assert!(lines.len() >= 6 && lines.iter().all(whole), "{shown:?}");
    assert!(shown.contains("Ten line=ten"), "{shown:?}");
}

#[test]
fn a_pipe_shows_none() {
    let directory = tempdir().expect("a directory");
    let ended = run(slow(directory.path()), [""; 0]).expect(0);
    let (said, _peak) = ended.stderr.rsplit_once("peak memory").expect("it came to its end");
    assert_eq!(log(said).len(), 3 + 4, "{said}");
}
