//! What settings can be.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::id::NodeName;
use crate::net::Cookie;

/// Most cores and threads that can be asked for: each is a thread or some actors for each vertex, and a number beyond
/// is a slip.
const MOST: i64 = 1024;

/// A number of cores or threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Count(pub usize);

impl TryFrom<i64> for Count {
    type Error = String;

    fn try_from(number: i64) -> Result<Count, String> {
        match usize::try_from(number) {
            Ok(count) if (1..=MOST).contains(&number) => Ok(Count(count)),
            _ => Err(format!("{number} is not a number from 1 to {MOST}")),
        }
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Count, String> {
        match text.parse::<i64>() {
            Ok(number) => Count::try_from(number),
            Err(_) => Err(format!("`{text}` is not a number from 1 to {MOST}")),
        }
    }
}

/// A port that can be reached, so not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Port(pub u16);

impl TryFrom<i64> for Port {
    type Error = String;

    fn try_from(number: i64) -> Result<Port, String> {
        match u16::try_from(number) {
            Ok(port) if port > 0 => Ok(Port(port)),
            _ => Err(format!("{number} is not a port from 1 to 65535")),
        }
    }
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Port, String> {
        match text.parse::<i64>() {
            Ok(number) => Port::try_from(number),
            Err(_) => Err(format!("`{text}` is not a port from 1 to 65535")),
        }
    }
}

/// A time in seconds, whole or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(pub Duration);

/// The longest time that can be asked for, in seconds: a year.
const LONGEST: f64 = 366.0 * 24.0 * 60.0 * 60.0;

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(number: f64) -> Result<Seconds, String> {
        match Duration::try_from_secs_f64(number) {
            Ok(time) if number > 0.0 && number <= LONGEST => Ok(Seconds(time)),
            _ => Err(format!("{number} is no time in seconds, above 0 and up to {LONGEST}")),
        }
    }
}

impl FromStr for Seconds {
    type Err = String;

    /// As people write it: `30`, `30s`, `500ms`, `2m`, `1h`.
    fn from_str(text: &str) -> Result<Seconds, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &text[digits.len()..] {
            "" | "s" => 1.0,
            "ms" => 0.001,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => 0.0,
        };
        let time = digits.parse::<f64>().ok().filter(|_| factor > 0.0).map(|number| number * factor);
        let wrong = || format!("`{text}` is no time; write seconds, such as 30 or 0.5, or with a unit: 500ms, 2m, 1h");
        time.ok_or_else(wrong).and_then(Seconds::try_from)
    }
}

/// The name of a node on its host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(pub String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        match NodeName::new(text, "host") {
            Ok(_) => Ok(Name(text.to_owned())),
            Err(_) if text.is_empty() => Err("the name of a node cannot be empty".to_owned()),
            Err(error) => Err(format!("`{text}` is no name of a node on its host: {}", error.why)),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Name, String> {
        text.parse()
    }
}

/// A host: a name or an address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Host(pub String);

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Host, String> {
        let host = text.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(text);
        match NodeName::new("node", host) {
            Ok(_) => Ok(Host(host.to_owned())),
            Err(_) if host.is_empty() => Err("the name of a host cannot be empty".to_owned()),
            Err(error) => Err(format!("`{text}` is no name or address of a host: {}", error.why)),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Host, String> {
        text.parse()
    }
}

/// Where a node listens: `ADDR[:PORT]`, or `:PORT` on all interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Listen {
    /// The address; none means all interfaces.
    pub address: Option<IpAddr>,
    /// The port; at 0, one that is free.
    pub port: u16,
}

impl Listen {
    /// All interfaces, a free port.
    pub const ANYWHERE: Listen = Listen { address: None, port: 0 };
}

/// As it can be read again.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}", SocketAddr::new(address, self.port)),
            None => write!(f, ":{}", self.port),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        let wrong = |why: &str| {
            format!("`{text}` is nothing to listen at: {why}; write ADDR[:PORT], such as 127.0.0.1 or [::1]:4000")
        };
        if let Ok(address) = text.parse() {
            return Ok(Listen { address: Some(address), port: 0 });
        }
        let (address, port) = match text.rsplit_once(':') {
            // The colon is one of an IPv6 address.
            Some((_, rest)) if rest.contains(']') => (text, "0"),
            Some((address, port)) => (address, port),
            None => (text, "0"),
        };
        let address = match address.strip_prefix('[').map(|inside| inside.strip_suffix(']')) {
            _ if address.is_empty() && address.len() < text.len() => None,
            None => Some(address.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4)),
            Some(inside) => Some(inside.and_then(|inside| inside.parse().ok()).filter(IpAddr::is_ipv6)),
        };
        if address == Some(None) {
            return Err(wrong("there is no IP address in it"));
        }
        // `parse` takes a sign.
        let port = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()));
        let port = port.ok_or_else(|| wrong("its port is no number from 0 to 65535"))?;
        Ok(Listen { address: address.flatten(), port })
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Listen, String> {
        text.parse()
    }
}

/// Which workflow to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one, named at this place.
    Workflow {
        /// Its name.
        name: String,
        /// The option, variable, or line of the file.
        at: String,
    },
    /// None.
    Nothing,
}

/// Where the cookie is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieSource {
    /// It was said.
    Secret(Cookie),
    /// It stands in this file.
    File(PathBuf),
}

/// Where the log is written to, beside stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFiles {
    /// Into a file in this directory.
    In(PathBuf),
    /// Nowhere.
    None,
}
