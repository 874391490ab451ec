//! Why a host cannot be used.

use std::fmt::Write as _;
use std::time::Duration;

/// Why a host cannot be used, in words for whoever wanted to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// ssh could not log in.
    #[error("ssh: {0}")]
    Login(String),
    /// The host has let ssh in, or begun to, and then answered nothing.
    #[error("{what} has taken more than {} s", .limit.as_secs())]
    Silent {
        /// What it was to do.
        what: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// There is no release.
    #[error("there is no release in `{directory}`; copy it there, say where it is by --working-dir, or use --push")]
    NoRelease {
        /// Where it was looked for.
        directory: String,
    },
    /// The program there does not run.
    #[error("`{program}` does not run there, on {machine}{}", said(.why))]
    NotRunnable {
        /// The file.
        program: String,
        /// What the system there calls itself.
        machine: String,
        /// What it says.
        why: String,
    },
    /// The host runs other programs.
    #[error("it is {machine}, and this program is for {own}; deploy a release that was built for it")]
    OtherMachine {
        /// What the system there calls itself.
        machine: String,
        /// What this program was made for.
        own: String,
    },
    /// What was sent could not be put there.
    #[error("nothing can be put into `{directory}`: {why}; see to room and permissions there, or use --working-dir")]
    NotTaken {
        /// Where it should be.
        directory: String,
        /// What the host says.
        why: String,
    },
    /// The connection was lost.
    #[error("the connection was lost{}", said(.0))]
    Lost(String),
    /// What came was not understood.
    #[error("it answers what is no answer: {0}")]
    Nonsense(String),
    /// The agent could not do what it was asked.
    #[error("{0}")]
    Refused(String),
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// An error with all that caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = one_line(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = one_line(&cause.to_string());
        if !text.contains(&cause_text) {
            // Writing to a string does not fail.
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A text of several lines in one.
pub fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_once() {
        let io = std::io::Error::other("Permission denied\r\nreally");
        let error = openssh::Error::Connect(io);
        assert_eq!(chain(&error), "failed to connect to the remote host: Permission denied; really");
    }

    #[test]
    fn troubles_say_what_to_do() {
        let none = Trouble::NoRelease { directory: "/opt/x".to_owned() };
        assert!(none.to_string().contains("--push"));
        assert_eq!(Trouble::Lost(String::new()).to_string(), "the connection was lost");
    }
}
