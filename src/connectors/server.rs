//! Where a server is, and as whom it is spoken to.

use std::fmt;

use crate::workflow::{Error, Result};

/// What stands for a secret where a URL is shown.
const HIDDEN: &str = "***";

/// The URL of a server. It shows no password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ServerUrl(String);

/// A URL as it is used, with the secrets in it.
pub(super) struct Resolved {
    pub url: String,
    secrets: Vec<String>,
}

impl ServerUrl {
    pub fn new(url: impl Into<String>) -> Self {
        ServerUrl(url.into())
    }

    /// Checks that this is a URL of one of these schemes, as far as that goes without its variables.
    pub fn check(&self, schemes: &[&str]) -> Result<()> {
        let example = schemes.first().copied().unwrap_or_default();
        let wrong = |why: &str| {
            Err(Error::Operation(format!("`{self}` is not the URL of a server: {why}; write `{example}://HOST:PORT`")))
        };
        match self.0.split_once("://") {
            None => wrong("it has no scheme"),
            Some((scheme, _)) if !schemes.contains(&scheme) => wrong(&format!("`{scheme}` is no scheme that is known")),
            Some((_, "")) => wrong("it has no host"),
            Some(_) => Ok(()),
        }
    }

    /// The URL with the variables of the environment in it.
    ///
    /// # Errors
    /// When a variable is not set, or its name has no end.
    pub fn resolve(&self) -> Result<Resolved> {
        self.resolve_with(|name| std::env::var(name).ok())
    }

    fn resolve_with(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Resolved> {
        let (url, mut secrets) = expand_with(&self.0, &format!("`{self}`"), percent_encoded, variable)?;
        secrets.extend(password(&url).map(str::to_owned));
        secrets.extend(url.split_once('?').map(|(_, query)| query.to_owned()));
        secrets.retain(|secret| !secret.is_empty());
        Ok(Resolved { url, secrets })
    }
}

/// A text with the variables of the environment in it, each `written` as it has to be there; and what was found. `what`
/// names the text for messages.
///
/// # Errors
/// When a variable is not set, or its name has no end.
#[cfg(feature = "http")]
pub(super) fn expand(text: &str, what: &str, written: impl Fn(&str) -> String) -> Result<(String, Vec<String>)> {
    expand_with(text, what, written, |name| std::env::var(name).ok())
}

fn expand_with(
    text: &str,
    what: &str,
    written: impl Fn(&str) -> String,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(String, Vec<String>)> {
    let (mut expanded, mut found, mut rest) = (String::new(), Vec::new(), text);
    while let Some((before, behind)) = rest.split_once("${") {
        let Some((name, behind)) = behind.split_once('}') else {
            return Err(Error::Operation(format!("{what}: the name of a variable has no end; write `${{NAME}}`")));
        };
        let Some(value) = variable(name) else {
            let why = format!("{what}: there is no variable `{name}` in the environment of this node; set it");
            return Err(Error::Operation(why));
        };
        expanded.push_str(before);
        expanded.push_str(&written(&value));
        found.push(value);
        rest = behind;
    }
    expanded.push_str(rest);
    Ok((expanded, found))
}

impl Resolved {
    /// A message of somebody else, without the secrets that may be in it.
    pub fn scrub(&self, message: impl fmt::Display) -> String {
        let message = message.to_string();
        self.secrets.iter().fold(message, |message, secret| message.replace(secret.as_str(), HIDDEN))
    }
}

/// A URL in parts, for clients that want it so.
#[cfg(any(feature = "kafka", feature = "mqtt", feature = "nats"))]
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub scheme: String,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Host and port, and what is behind them.
    pub rest: String,
}

#[cfg(any(feature = "kafka", feature = "mqtt", feature = "nats"))]
impl Resolved {
    /// The parts of the URL, with the login decoded.
    pub fn parts(&self) -> Parts {
        let url = self.url.as_str();
        let (scheme, behind) = url.split_once("://").unwrap_or(("", url));
        let (from, to) = user_info(url).unwrap_or((0, 0));
        let (user, password) = match url[from..to].split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (&url[from..to], None),
        };
        let rest = if to > 0 { &url[to + 1..] } else { behind };
        Parts {
            scheme: scheme.to_owned(),
            user: Some(percent_decoded(user)).filter(|user| !user.is_empty()),
            password: password.map(percent_decoded),
            rest: rest.to_owned(),
        }
    }
}

/// What stands before the host: where in the text it begins and ends.
fn user_info(url: &str) -> Option<(usize, usize)> {
    let from = url.find("://")? + 3;
    // A password may have been written as it is, with any character in it.
    let to = from + url[from..].rfind('@')?;
    Some((from, to))
}

fn password(url: &str) -> Option<&str> {
    let (from, to) = user_info(url)?;
    url[from..to].split_once(':').map(|(_, password)| password)
}

/// As a part of a URL: a variable may hold any character.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The other way; what is no code stays as it is.
#[cfg(any(feature = "kafka", feature = "mqtt", feature = "nats"))]
fn percent_decoded(text: &str) -> String {
    let (mut decoded, bytes) = (Vec::with_capacity(text.len()), text.as_bytes());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code =
            text.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(|code| u8::from_str_radix(code, 16).ok());
        decoded.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Without its password, and without its query, in which there may be one, too.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0.as_str();
        let (from, to) = user_info(url).unwrap_or((0, 0));
        let behind = &url[to..];
        f.write_str(&url[..from])?;
        match url[from..to].split_once(':') {
            Some((user, _)) => write!(f, "{user}:{HIDDEN}")?,
            None => f.write_str(&url[from..to])?,
        }
        f.write_str(behind.split('?').next().unwrap_or_default())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolved").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        for (url, shown) in [
            ("redis://localhost:6379", "redis://localhost:6379"),
            ("redis://me@localhost", "redis://me@localhost"),
            ("redis://me:hunter2@localhost/1", "redis://me:***@localhost/1"),
            ("redis://:hunter2@localhost", "redis://:***@localhost"),
            ("redis://me:hunter2@odd/@localhost", "redis://me:***@localhost"),
            ("redis://me:${PASSWORD}@localhost", "redis://me:***@localhost"),
            ("postgres://db/x?password=hunter2", "postgres://db/x"),
            ("hunter2", "hunter2"),
        ] {
            let url = ServerUrl::new(url);
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), format!("\"{shown}\"")));
        }
        let resolved = ServerUrl::new("redis://me:hunter2@localhost").resolve().expect("no variables");
        assert_eq!(resolved.scrub("refused `me` with `hunter2`"), "refused `me` with `***`");
        assert!(!format!("{resolved:?}").contains("hunter2"));
        let resolved = ServerUrl::new("https://x/y?key=hunter2").resolve().expect("no variables");
        assert_eq!(resolved.scrub("bad `https://x/y?key=hunter2`"), "bad `https://x/y?***`");
    }

    #[test]
    fn variables_are_those_of_the_node() {
        let variable = |name: &str| Some(format!("<{name}>")).filter(|_| name != "NONE");
        let url = ServerUrl::new("redis://${USER}:${PASSWORD}@localhost");
        let resolved = url.resolve_with(variable).expect("both are set");
        assert_eq!(resolved.url, "redis://%3CUSER%3E:%3CPASSWORD%3E@localhost");
        assert_eq!(resolved.scrub("no <PASSWORD>, no %3CPASSWORD%3E"), "no ***, no ***");
        let error = ServerUrl::new("redis://${NONE}").resolve_with(variable).expect_err("not set").to_string();
        assert!(error.contains("no variable `NONE`"), "{error}");
        assert!(ServerUrl::new("redis://${USER").resolve_with(variable).is_err());
    }

    #[cfg(any(feature = "kafka", feature = "mqtt", feature = "nats"))]
    #[test]
    fn parts_are_decoded() {
        let parts = |url: &str| {
            let Parts { scheme, user, password, rest } = ServerUrl::new(url).resolve().expect("no variables").parts();
            (scheme, user.unwrap_or("-".into()), password.unwrap_or("-".into()), rest)
        };
        let of = |scheme: &str, user: &str, password: &str, rest: &str| {
            (scheme.to_owned(), user.to_owned(), password.to_owned(), rest.to_owned())
        };
        assert_eq!(parts("nats://me:a%20b%@x:1/y"), of("nats", "me", "a b%", "x:1/y"));
        assert_eq!(parts("mqtt://me@x"), of("mqtt", "me", "-", "x"));
        assert_eq!(parts("mqtt://x:1"), of("mqtt", "-", "-", "x:1"));
    }

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        assert!(ServerUrl::new("redis://x").check(&["redis"]).is_ok());
        for (url, why) in
            [("localhost:6379", "no scheme"), ("http://x", "`http` is no scheme"), ("redis://", "no host")]
        {
            let error = ServerUrl::new(url).check(&["redis", "rediss"]).expect_err(url).to_string();
            assert!(error.contains(why) && error.contains("redis://HOST:PORT"), "{error}");
        }
    }
}
