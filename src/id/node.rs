//! Nodes: their numbers, their names, and what a user writes to say where one is.

use core::net::Ipv6Addr;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A node: its number in the cluster and its incarnation, so that a node that comes back is not taken for the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId {
    /// Number of the node in its cluster, which it keeps when it comes back under its name.
    pub number: u32,
    /// Which life of the node this is.
    pub incarnation: u32,
}

impl NodeId {
    /// The only node of a local system.
    pub const LOCAL: NodeId = NodeId { number: 0, incarnation: 0 };
}

/// Most bytes of the name of a node: more than anybody types, and small in what a peer tells before it is trusted.
pub const MAX_NAME: usize = 128;

/// Most bytes of the name of a host, as in RFC 1035.
pub const MAX_HOST: usize = 253;

/// The name of a node, unique in its cluster: `worker1@silverlode`.
///
/// # Examples
/// ```
/// use skitter::id::NodeName;
///
/// let name: NodeName = "worker1@silverlode".parse()?;
/// assert_eq!((name.name(), name.host()), ("worker1", "silverlode"));
/// assert_eq!(name.to_string(), "worker1@silverlode");
/// # Ok::<(), skitter::id::InvalidName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct NodeName {
    name: String,
    host: String,
}

/// A node's name as it travels.
#[derive(Serialize, Deserialize)]
struct Parts(String, String);

/// A text that cannot be the name of a node, or of its host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no name of a node: {why}; write NAME@HOST, such as `worker1@silverlode`")]
pub struct InvalidName {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl NodeName {
    /// The name of a node on a host. The host is a name, an IPv4 address, or an IPv6 address without brackets.
    ///
    /// # Errors
    /// When one of them is empty, too long, or has a character that it cannot have.
    pub fn new(name: impl Into<String>, host: impl Into<String>) -> Result<NodeName, InvalidName> {
        let (name, host) = (name.into(), host.into());
        match check_name(&name).and_then(|()| check_host(&host)) {
            Ok(()) => Ok(NodeName { name, host }),
            Err(why) => Err(InvalidName { text: format!("{name}@{host}"), why }),
        }
    }

    /// What stands before the `@`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host: a name, an IPv4 address, or an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl From<NodeName> for Parts {
    fn from(name: NodeName) -> Parts {
        Parts(name.name, name.host)
    }
}

impl TryFrom<Parts> for NodeName {
    type Error = InvalidName;

    fn try_from(Parts(name, host): Parts) -> Result<NodeName, InvalidName> {
        NodeName::new(name, host)
    }
}

impl FromStr for NodeName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<NodeName, InvalidName> {
        let wrong = |why| InvalidName { text: text.to_owned(), why };
        let (name, host) = text.split_once('@').ok_or_else(|| wrong("it has no host"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        NodeName::new(name, host).map_err(|InvalidName { why, .. }| wrong(why))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, Bracketed(&self.host))
    }
}

/// A host, in brackets if it is an IPv6 address.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

/// Where a node is, as a user writes it: `[name@]host[:port]`. Without a port, the host's port mapper knows it.
///
/// # Examples
/// ```
/// use skitter::id::NodeAddress;
///
/// let address = NodeAddress::parse("silverlode:4000", "skitter_worker")?;
/// assert_eq!(address.name, "skitter_worker");
/// assert_eq!((address.host.as_str(), address.port), ("silverlode", Some(4000)));
///
/// let unclear = NodeAddress::parse("worker1@", "skitter_worker").unwrap_err();
/// assert!(unclear.to_string().starts_with("`worker1@` is no address of a node: it has no host"));
/// # Ok::<(), skitter::id::InvalidAddress>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddress {
    /// The name of the node on its host.
    pub name: String,
    /// The host: a name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port at which the node listens, if it was said; never 0.
    pub port: Option<u16>,
}

/// A text that does not say where a node is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no address of a node: {why}; write [NAME@]HOST[:PORT], such as `worker1@silverlode` or \
     `worker1@[::1]:4000`"
)]
pub struct InvalidAddress {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl NodeAddress {
    /// Reads `[name@]host[:port]`; without a name, it is `default_name`. Whether there is such a host is not looked up.
    ///
    /// # Errors
    /// When a part is missing or cannot be what it should be.
    pub fn parse(text: &str, default_name: &str) -> Result<NodeAddress, InvalidAddress> {
        let wrong = |why| InvalidAddress { text: text.to_owned(), why };
        let (name, place) = text.split_once('@').unwrap_or((default_name, text));
        let (host, port) = split_place(place).map_err(wrong)?;
        check_name(name).and_then(|()| check_host(host)).map_err(wrong)?;
        let port = port.map(parse_port).transpose().map_err(wrong)?;
        Ok(NodeAddress { name: name.to_owned(), host: host.to_owned(), port })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, Bracketed(&self.host))?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Splits `host[:port]`, and takes the brackets from an IPv6 address.
fn split_place(place: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(inside) = place.strip_prefix('[') {
        let (host, behind) = inside.split_once(']').ok_or("a bracket is not closed")?;
        if !host.contains(':') {
            return Err("there is no IPv6 address in the brackets");
        }
        let port = match behind {
            "" => None,
            _ => Some(behind.strip_prefix(':').ok_or("behind the brackets stands something else than a port")?),
        };
        return Ok((host, port));
    }
    match place.split_once(':') {
        Some((_, port)) if port.contains(':') => Err("an IPv6 address stands in brackets"),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((place, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    // `parse` takes a sign.
    match text.parse() {
        Ok(0) => Err("nothing can be reached at port 0"),
        Ok(port) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err("a port is a number from 1 to 65535"),
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it has no name before the `@`");
    }
    if name.len() > MAX_NAME {
        return Err("its name is longer than 128 bytes");
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control() || "@:,/".contains(c)) {
        return Err("a name has no white space, `@`, `:`, `,` or `/`");
    }
    Ok(())
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("it has no host");
    }
    if host.len() > MAX_HOST {
        return Err("its host is longer than 253 bytes");
    }
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "[]@,/".contains(c)) {
        return Err("the host has a character that no host has");
    }
    // What is behind the `%` names an interface.
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    if host.contains(':') && address.parse::<Ipv6Addr>().is_err() {
        return Err("its host is no IPv6 address");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<(String, String, Option<u16>), &'static str> {
        NodeAddress::parse(text, "skitter_worker").map(|a| (a.name, a.host, a.port)).map_err(|error| error.why)
    }

    #[test]
    fn addresses_are_read() {
        for (text, name, host, port) in [
            ("silverlode", "skitter_worker", "silverlode", None),
            ("worker1@silverlode", "worker1", "silverlode", None),
            ("silverlode:4000", "skitter_worker", "silverlode", Some(4000)),
            ("worker1@silverlode:65535", "worker1", "silverlode", Some(65535)),
            ("w@127.0.0.1:1", "w", "127.0.0.1", Some(1)),
            ("w@[::1]:4000", "w", "::1", Some(4000)),
            ("[fe80::1%eth0]", "skitter_worker", "fe80::1%eth0", None),
            ("a.b-c_1@x-y.example.org", "a.b-c_1", "x-y.example.org", None),
        ] {
            assert_eq!(parse(text), Ok((name.to_owned(), host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "no host"),
            (":", "no host"),
            (":80", "no host"),
            ("@", "no name"),
            ("w1@", "no host"),
            ("w1@:80", "no host"),
            ("@silverlode", "no name"),
            ("a@b@c", "character"),
            ("a b@c", "white space"),
            ("a,b@c", "white space"),
            ("a/b@c", "white space"),
            ("a:1@c", "white space"),
            ("w@a b", "character"),
            ("w@a,b", "character"),
            ("http://a", "port"),
            ("a/b", "character"),
            ("a:", "number from 1"),
            ("a:0", "port 0"),
            ("a:00", "port 0"),
            ("a:70000", "number from 1"),
            ("a:+80", "number from 1"),
            ("a:-1", "number from 1"),
            ("a:http", "number from 1"),
            ("::1", "brackets"),
            ("[::1", "not closed"),
            ("[::1]80", "something else"),
            ("[a]:80", "no IPv6 address"),
            ("[1:2]:80", "no IPv6 address"),
        ] {
            let found = parse(text).expect_err(text);
            assert!(found.contains(why), "`{text}`: {found}");
        }
    }

    #[test]
    fn names_are_checked_wherever_they_come_from() {
        let name: NodeName = "w@[::1]".parse().expect("a name");
        assert_eq!((name.name(), name.host(), name.to_string().as_str()), ("w", "::1", "w@[::1]"));
        for bad in ["w", "w@", "@h", "w@h@h", "w x@h", "w@h:80"] {
            let error = bad.parse::<NodeName>().expect_err(bad);
            assert!(error.to_string().starts_with(&format!("`{bad}` is no name of a node: ")), "{error}");
        }
        assert!(NodeName::new("n".repeat(MAX_NAME), "h".repeat(MAX_HOST)).is_ok());
        assert!(NodeName::new("n".repeat(MAX_NAME + 1), "h").is_err());
        assert!(NodeName::new("n", "h".repeat(MAX_HOST + 1)).is_err());
        assert!(serde_json::from_str::<NodeName>("[\"w\",\"h\"]").is_ok());
        assert!(serde_json::from_str::<NodeName>("[\"w@\",\"h\"]").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read(
            name in "[a-z0-9._-]{1,9}",
            host in prop_oneof!["[a-z0-9.-]{1,9}", any::<Ipv6Addr>().prop_map(|a| a.to_string())],
            port in proptest::option::of(1..u16::MAX),
        ) {
            let address = NodeAddress { name: name.clone(), host: host.clone(), port };
            prop_assert_eq!(NodeAddress::parse(&address.to_string(), "x"), Ok(address));
            let name = NodeName::new(name, host).expect("a name");
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[a@:\\[\\]%,/ \u{e9}0-9]{0,12}") {
            if let Ok(address) = NodeAddress::parse(&text, "x") {
                prop_assert!(NodeName::new(address.name, address.host).is_ok());
            }
        }
    }
}
