//! The console.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::home::Home;
use crate::cli::process::Ended;

fn attach(home: &Home, typed: &str) -> Ended {
    let mut command = home.command();
    command.args(["local", "attach"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("stdin").write_all(typed.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends").into()
}

#[test]
fn commands_are_read_from_a_pipe() {
    let home = Home::faulty();
    home.say(["local", "daemon", "--no-deploy"]).expect(0);
    let ended = attach(
        &home,
        "# a comment\n\nworkflows\ndeploy 'ticks'\ndeployments\nstop 1\nnodes\nlog debug\nquit\nnonsense\n",
    );
    let ended = ended.expect(0);
    let mut rest = ended.stdout.as_str();
    for text in [
        "panics ",
        "deployed 1, `ticks`, running",
        "1   ticks ",
        "deployment 1, `ticks`, stopped",
        "no other nodes",
        "the level of the log is now debug",
    ] {
        let at = rest.find(text).unwrap_or_else(|| panic!("`{text}` does not follow: {ended:?}"));
        rest = &rest[at..];
    }
    assert!(!ended.stderr.contains("error"), "{ended:?}");
    assert!(home.log("local-skitter_local").contains("The level of the log is now debug"));
    // What goes wrong is said, the rest is done, and the first failure is the exit status.
    let ended = attach(&home, "graph 9\nnods\ndeploy 'x\nstop\nhelp\ndeployments\n").expect(2);
    assert!(ended.stdout.contains("deployments  What runs") && ended.stdout.contains("1   ticks "), "{ended:?}");
    for text in ["there is no deployment 9", "'nods'", "'nodes'", "a ' without another one", "<ID>"] {
        assert!(ended.stderr.contains(text), "`{text}` is not in {ended:?}");
    }
    home.say(["local", "status"]).expect(0);
}

#[test]
fn a_terminal_has_history_and_completion() {
    let home = Home::new();
    home.say(["local", "daemon", "--no-deploy"]).expect(0);
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("granted");
    unlockpt(&ours).expect("unlocked");
    let name = ptsname(&ours, Vec::new()).expect("a name").into_string().expect("UTF-8");
    let theirs = || File::options().read(true).write(true).open(&name).expect("its other side");
    let mut command = home.command();
    command.env("TERM", "xterm").args(["local", "attach"]);
    command.stdin(theirs()).stdout(theirs()).stderr(theirs());
    let mut child = command.spawn().expect("it starts");
    drop(command);
    let mut ours = File::from(ours);
    let mut shown = String::new();
    let mut wait_for = |ours: &mut File, text: &str| {
        let mut chunk = [0; 4096];
        while !shown.contains(text) {
            let read = ours.read(&mut chunk).unwrap_or_else(|_| panic!("`{text}` is not shown, but {shown:?}"));
            shown.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
        shown.clear();
    };
    wait_for(&mut ours, "skitter> ");
    // A tab completes the word; a line that is thought better of is not done.
    ours.write_all(b"workf\t\r").expect("typed");
    wait_for(&mut ours, "Counts prime numbers");
    ours.write_all(b"deploy hel\t").expect("typed");
    wait_for(&mut ours, "deploy hello");
    ours.write_all(b"\x03").expect("typed");
    wait_for(&mut ours, "skitter> ");
    ours.write_all(b"deployments\r").expect("typed");
    wait_for(&mut ours, "no deployments");
    ours.write_all(b"quit\r").expect("typed");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let history = home.place("local-skitter_local").join("history");
    assert_eq!(std::fs::metadata(&history).expect("a file").permissions().mode() & 0o7777, 0o600);
    let kept = std::fs::read_to_string(&history).expect("readable");
    assert!(kept.contains("workflows\ndeployments\nquit\n"), "{kept}");
    home.say(["local", "status"]).expect(0);
}
