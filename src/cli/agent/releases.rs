//! The releases that were sent to this host, and which of them counts.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The link to the release that counts.
const CURRENT: &str = "current";

/// Where releases are.
const RELEASES: &str = "releases";

/// Which releases have counted, the last one last: a line each, with the path below the directory.
const HISTORY: &str = "releases/history";

/// Stands for the release that was unpacked by hand, which counts when there is no link.
const UNPACKED: &str = ".";

/// The program of a release.
const PROGRAM: &str = "bin/skitter";

/// How many releases are kept: the one that counts, and some to go back to.
const KEPT: usize = 5;

/// A directory below which releases are.
#[derive(Debug)]
pub struct Releases(PathBuf);

impl Releases {
    /// Those below the directory that this process is in.
    pub fn here() -> Releases {
        Releases(PathBuf::from("."))
    }

    /// Makes the release at a place the one that counts, at once and for all; older ones than the last few are removed.
    ///
    /// # Errors
    /// When there is none, or the system refuses it.
    pub fn switch(&self, to: &str) -> io::Result<()> {
        if !is_release(to) || !self.0.join(to).is_dir() {
            return Err(io::Error::other(format!("there is no release `{to}`")));
        }
        let mut history = self.history()?;
        if history.last().is_none_or(|last| last != to) || !self.counts(to) {
            history.retain(|other| other != to);
            history.push(to.to_owned());
            self.write(&history)?;
            self.link(to)?;
        }
        // What cannot be removed now is removed with the next one.
        let _ = self.prune(&history);
        Ok(())
    }

    /// The one that counted before the one that counts, if it is still there: [`UNPACKED`] if that is the one that was
    /// unpacked by hand.
    pub fn previous(&self) -> Option<String> {
        let history = self.history().ok()?;
        let (last, before) = history.split_last()?;
        let unpacked = UNPACKED.to_owned();
        let previous = before.last().unwrap_or(&unpacked);
        let is_there = self.0.join(previous).join(PROGRAM).exists();
        (self.counts(last) && is_there).then(|| previous.clone())
    }

    /// Makes the one count again that did before. Returns which.
    ///
    /// # Errors
    /// When there is none, or the system refuses it.
    pub fn switch_back(&self) -> io::Result<String> {
        let previous = self.previous().ok_or_else(|| io::Error::other("there was no release before this one"))?;
        let mut history = self.history()?;
        history.pop();
        self.write(&history)?;
        match previous == UNPACKED {
            true => fs::remove_file(self.0.join(CURRENT))?,
            false => self.link(&previous)?,
        }
        Ok(previous)
    }

    fn counts(&self, place: &str) -> bool {
        fs::read_link(self.0.join(CURRENT)).is_ok_and(|current| current == Path::new(place))
    }

    fn history(&self) -> io::Result<Vec<String>> {
        match fs::read_to_string(self.0.join(HISTORY)) {
            Ok(text) => Ok(text.lines().filter(|line| is_release(line)).map(str::to_owned).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, history: &[String]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.0.join(RELEASES))?;
        for place in history {
            writeln!(file, "{place}")?;
        }
        file.persist(self.0.join(HISTORY))?;
        Ok(())
    }

    /// A link that is there already cannot be changed, but another one can take its place.
    fn link(&self, to: &str) -> io::Result<()> {
        // Others may do the same at the same time.
        let new = self.0.join(format!("{CURRENT}.{}", std::process::id()));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => symlink(to, &new)?,
        }
        fs::rename(new, self.0.join(CURRENT))
    }

    fn prune(&self, history: &[String]) -> io::Result<()> {
        let old = history.len().saturating_sub(KEPT);
        for place in &history[..old] {
            // A worker of it that still runs has what it needs.
            match fs::remove_dir_all(self.0.join(place)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if old > 0 { self.write(&history[old..]) } else { Ok(()) }
    }
}

/// Whether this is the place of a release: what comes over the wire leads nowhere else.
fn is_release(place: &str) -> bool {
    let name = place.strip_prefix(RELEASES).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/') && !name.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn releases(names: &[&str]) -> (tempfile::TempDir, Releases) {
        let directory = tempfile::tempdir().expect("a directory");
        let releases = Releases(directory.path().to_owned());
        for name in names {
            let program = directory.path().join(RELEASES).join(name).join(PROGRAM);
            fs::create_dir_all(program).expect("made");
        }
        (directory, releases)
    }

    #[test]
    fn the_one_before_can_be_gone_back_to() {
        let (_directory, releases) = releases(&["a", "b", "c"]);
        assert_eq!(releases.previous(), None);
        for name in ["releases/a", "releases/b", "releases/b", "releases/c"] {
            releases.switch(name).expect("it is there");
            assert!(releases.counts(name));
        }
        assert_eq!(releases.previous().as_deref(), Some("releases/b"));
        assert_eq!(releases.switch_back().expect("one before"), "releases/b");
        assert!(releases.counts("releases/b"));
        assert_eq!(releases.switch_back().expect("one before"), "releases/a");
        assert_eq!(releases.previous(), None);
        let said = releases.switch_back().expect_err("none before").to_string();
        assert_eq!(said, "there was no release before this one");
        // One that counted earlier counts once in the history.
        releases.switch("releases/c").expect("it is there");
        releases.switch("releases/a").expect("it is there");
        assert_eq!(releases.history().expect("readable"), ["releases/c", "releases/a"]);
    }

    #[test]
    fn what_was_moved_by_hand_is_seen() {
        let (directory, releases) = releases(&["a", "b"]);
        releases.switch("releases/a").expect("it is there");
        releases.switch("releases/b").expect("it is there");
        fs::remove_file(directory.path().join(CURRENT)).expect("there");
        assert_eq!(releases.previous(), None);
        releases.switch("releases/b").expect("it is there");
        assert_eq!(releases.previous().as_deref(), Some("releases/a"));
        fs::remove_dir_all(directory.path().join("releases/a")).expect("there");
        assert_eq!(releases.previous(), None);
    }

    #[test]
    fn what_was_unpacked_by_hand_can_be_gone_back_to() {
        let (directory, releases) = releases(&["a"]);
        fs::create_dir_all(directory.path().join(PROGRAM)).expect("made");
        releases.switch("releases/a").expect("it is there");
        assert_eq!(releases.switch_back().expect("one before"), UNPACKED);
        assert!(!directory.path().join(CURRENT).exists());
        assert_eq!(releases.previous(), None);
    }

    #[test]
    fn a_few_are_kept() {
        let names: Vec<String> = (0..KEPT + 2).map(|number| format!("r{number}")).collect();
        let (directory, releases) = releases(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for name in &names {
            releases.switch(&format!("{RELEASES}/{name}")).expect("it is there");
        }
        let left = fs::read_dir(directory.path().join(RELEASES)).expect("readable");
        assert_eq!(left.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir())).count(), KEPT);
        assert_eq!(releases.history().expect("readable").len(), KEPT);
        assert!(releases.previous().is_some());
    }

    #[test]
    fn nothing_else_is_linked_to() {
        let (_directory, releases) = releases(&["a"]);
        for place in
            ["/etc", "releases", "releases/", "releases/..", "releases/a/b", "releases/.x", "files/a", "releases/b"]
        {
            let said = releases.switch(place).expect_err(place).to_string();
            assert_eq!(said, format!("there is no release `{place}`"));
        }
    }
}
