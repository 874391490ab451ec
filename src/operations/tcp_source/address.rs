//! `HOST:PORT`.

use crate::workflow::{Error, Result};

/// Checks that this is `HOST:PORT`, the host a name, an IPv4 address or an IPv6 address in brackets. Whether there is
/// such a host is not looked up.
pub(super) fn check(address: &str, listens: bool) -> Result<()> {
    let wrong = |why: &str| {
        let message =
            format!("`{address}` is not an address{why}; write HOST:PORT, such as `localhost:9999` or `[::1]:9999`");
        Err(Error::Operation(message))
    };
    let Some((host, port)) = address.rsplit_once(':') else { return wrong(": it has no port") };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(host) if host.parse::<std::net::Ipv6Addr>().is_err() => {
            return wrong(": there is no IPv6 address in the brackets");
        }
        Some(_) => {}
        None if host.is_empty() => return wrong(": it has no host"),
        None if host.contains(':') => return wrong(": an IPv6 address stands in brackets"),
        None if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/[]@".contains(c)) => {
            return wrong(": the host has a character that no host has");
        }
        None => {}
    }
    match port.parse::<u16>() {
        Ok(0) if !listens => wrong(": nothing can be reached at port 0"),
        Ok(_) => Ok(()),
        Err(_) => wrong(": a port is a number up to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_others() {
        for good in ["localhost:1", "127.0.0.1:65535", "[::1]:80", "a-b.example.org:9999", "rechner_1:5"] {
            assert_eq!(check(good, false), Ok(()));
        }
        for (bad, why) in [
            ("", "no port"),
            ("localhost", "no port"),
            (":80", "no host"),
            ("::1:80", "brackets"),
            ("[::1:80", "brackets"),
            ("[x]:80", "no IPv6 address"),
            ("http://localhost:80", "brackets"),
            ("a/b:80", "character"),
            ("local host:80", "character"),
            ("localhost:", "number up to 65535"),
            ("localhost:65536", "number up to 65535"),
            ("localhost:http", "number up to 65535"),
            ("localhost:0", "port 0"),
        ] {
            let error = check(bad, false).expect_err(bad).to_string();
            assert!(error.contains(why) && error.contains(&format!("`{bad}`")), "{error}");
        }
        assert_eq!(check("127.0.0.1:0", true), Ok(()));
    }
}
