//! Every byte of the port mapper: one line of text each way, of at most [`MAX_LINE`] bytes, its line feed included.
//!
//! | line | from | meaning |
//! |---|---|---|
//! | `SKTRMAP 1 register NAME PORT` | a node of this host | the name is new; the connection stays open as long as the node lives |
//! | `SKTRMAP 1 renew NAME PORT` | a node of this host | the same, of a node that had the name with the mapper before |
//! | `SKTRMAP 1 lookup NAME` | anybody | where is it? |
//! | `SKTRMAP 1 port PORT` | the mapper | it is there; or: you have the name |
//! | `SKTRMAP 1 taken` | the mapper | a living node has the name; also later on, to a node that loses it |
//! | `SKTRMAP 1 unknown` | the mapper | there is no such node |
//! | `SKTRMAP 1 forbidden` | the mapper | only nodes of this host can register |
//! | `SKTRMAP 1 full` | the mapper | there are too many names |
//! | `SKTRMAP 1 malformed` | the mapper | the line is none of these |

use crate::id::NodeName;

/// The version of these lines; goes up with every change.
pub(super) const VERSION: u8 = 1;
/// Most bytes of a line: twice what the longest takes.
pub(super) const MAX_LINE: usize = 512;

const MAGIC: &str = "SKTRMAP ";

/// What a node asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Register {
        name: String,
        port: u16,
        /// It had the name with the mapper before this one.
        again: bool,
    },
    Lookup {
        name: String,
    },
}

/// What the mapper answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Port(u16),
    Taken,
    Unknown,
    Forbidden,
    Full,
    Malformed,
}

/// A line that is none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Somebody else's.
    Strange,
    /// A mapper's, of this version.
    Version(String),
    /// A mapper's, of our version, and wrong.
    Malformed,
}

impl Request {
    pub fn line(&self) -> String {
        match self {
            Request::Register { name, port, again } => {
                let verb = if *again { "renew" } else { "register" };
                format!("{MAGIC}{VERSION} {verb} {name} {port}\n")
            }
            Request::Lookup { name } => format!("{MAGIC}{VERSION} lookup {name}\n"),
        }
    }

    /// Reads a line, without its line feed.
    pub fn read(line: &[u8]) -> Result<Request, Unfit> {
        let words = words(line)?;
        let name = |name: &&str| is_name(name).then(|| (*name).to_owned()).ok_or(Unfit::Malformed);
        match words.as_slice() {
            [verb @ ("register" | "renew"), who, port] => {
                Ok(Request::Register { name: name(who)?, port: read_port(port)?, again: *verb == "renew" })
            }
            ["lookup", who] => Ok(Request::Lookup { name: name(who)? }),
            _ => Err(Unfit::Malformed),
        }
    }
}

impl Answer {
    pub fn line(self) -> String {
        let words = match self {
            Answer::Port(port) => format!("port {port}"),
            Answer::Taken => "taken".to_owned(),
            Answer::Unknown => "unknown".to_owned(),
            Answer::Forbidden => "forbidden".to_owned(),
            Answer::Full => "full".to_owned(),
            Answer::Malformed => "malformed".to_owned(),
        };
        format!("{MAGIC}{VERSION} {words}\n")
    }

    /// Reads a line, without its line feed.
    pub fn read(line: &[u8]) -> Result<Answer, Unfit> {
        match words(line)?.as_slice() {
            ["port", port] => Ok(Answer::Port(read_port(port)?)),
            ["taken"] => Ok(Answer::Taken),
            ["unknown"] => Ok(Answer::Unknown),
            ["forbidden"] => Ok(Answer::Forbidden),
            ["full"] => Ok(Answer::Full),
            ["malformed"] => Ok(Answer::Malformed),
            _ => Err(Unfit::Malformed),
        }
    }
}

/// Whether the bytes that have come so far can become a line of a mapper's.
pub(super) fn can_be_ours(bytes: &[u8]) -> bool {
    let known = bytes.len().min(MAGIC.len());
    bytes[..known] == MAGIC.as_bytes()[..known]
}

/// Whether a node can have this name.
pub(super) fn is_name(name: &str) -> bool {
    NodeName::new(name, "localhost").is_ok()
}

/// The words behind magic and version.
fn words(line: &[u8]) -> Result<Vec<&str>, Unfit> {
    let text = std::str::from_utf8(line).map_err(|_| Unfit::Strange)?;
    let rest = text.strip_prefix(MAGIC).ok_or(Unfit::Strange)?;
    let (version, rest) = rest.split_once(' ').ok_or(Unfit::Malformed)?;
    match version.parse::<u8>() {
        Ok(VERSION) if version.len() == 1 => Ok(rest.split(' ').collect()),
        Ok(other) => Err(Unfit::Version(other.to_string())),
        Err(_) => Err(Unfit::Malformed),
    }
}

fn read_port(text: &str) -> Result<u16, Unfit> {
    match text.parse() {
        // One form only: no sign, no zeros before it.
        Ok(port) if text.starts_with(|c: char| matches!(c, '1'..='9')) => Ok(port),
        _ => Err(Unfit::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn register(again: bool) -> Request {
        Request::Register { name: "worker1".to_owned(), port: 4001, again }
    }

    #[test]
    fn lines_are_pinned() {
        let lookup = Request::Lookup { name: "worker1".to_owned() };
        for (request, line) in [
            (register(false), "SKTRMAP 1 register worker1 4001\n"),
            (register(true), "SKTRMAP 1 renew worker1 4001\n"),
            (lookup, "SKTRMAP 1 lookup worker1\n"),
        ] {
            assert_eq!(request.line(), line);
            assert_eq!(Request::read(line.trim_end().as_bytes()), Ok(request));
        }
        for (answer, line) in [
            (Answer::Port(4001), "SKTRMAP 1 port 4001\n"),
            (Answer::Taken, "SKTRMAP 1 taken\n"),
            (Answer::Unknown, "SKTRMAP 1 unknown\n"),
            (Answer::Forbidden, "SKTRMAP 1 forbidden\n"),
            (Answer::Full, "SKTRMAP 1 full\n"),
            (Answer::Malformed, "SKTRMAP 1 malformed\n"),
        ] {
            assert_eq!(answer.line(), line);
            assert_eq!(Answer::read(line.trim_end().as_bytes()), Ok(answer));
        }
        let longest = Request::Register { name: "n".repeat(crate::id::MAX_NAME), port: u16::MAX, again: false };
        assert!(longest.line().len() <= MAX_LINE / 2);
    }

    #[test]
    fn lines_that_lie_are_malformed() {
        for line in [
            "SKTRMAP 1 port 0",
            "SKTRMAP 1 port 65536",
            "SKTRMAP 1 port +1",
            "SKTRMAP 1 port 01",
            "SKTRMAP 1 port",
            "SKTRMAP 1 port 1 2",
            "SKTRMAP 1 port  1",
            "SKTRMAP 1 ",
            "SKTRMAP 1",
            "SKTRMAP x port 1",
            "SKTRMAP 1 port 1\r",
        ] {
            assert_eq!(Answer::read(line.as_bytes()), Err(Unfit::Malformed), "{line}");
        }
        for line in ["register a@b 1", "register a 0", "lookup a:b", "lookup ", "lookup", "forget a", "renew a"] {
            assert_eq!(Request::read(format!("SKTRMAP 1 {line}").as_bytes()), Err(Unfit::Malformed), "{line}");
        }
        assert_eq!(Answer::read(b"HTTP/1.1 200 OK"), Err(Unfit::Strange));
        assert_eq!(Answer::read(b"\xff"), Err(Unfit::Strange));
        assert_eq!(Answer::read(b"SKTRMAP 2 there 7"), Err(Unfit::Version("2".to_owned())));
        assert!(can_be_ours(b"") && can_be_ours(b"SKTR") && can_be_ours(b"SKTRMAP 7"));
        assert!(!can_be_ours(b"G") && !can_be_ours(b"SKTR\x01"));
    }

    proptest! {
        #[test]
        fn no_line_breaks_the_reader(head in prop_oneof![Just(""), Just("SKTRMAP 1 ")], rest in ".{0,40}") {
            let line = format!("{head}{rest}");
            if let Ok(request) = Request::read(line.as_bytes()) {
                prop_assert_eq!(request.line(), format!("{line}\n"));
            }
            let _ = Answer::read(line.as_bytes());
        }
    }
}
