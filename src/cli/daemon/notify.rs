//! Tells systemd how a service comes along: `sd_notify`, as its manual page has it.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Names the socket: a path, or a name in the abstract namespace behind an `@`.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// The way to systemd.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// The one that the environment names, if there is one that can be reached.
    pub fn from_environment() -> Option<Notifier> {
        let name = std::env::var_os(VARIABLE).filter(|name| !name.is_empty())?;
        let notifier = address(&name).and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok(Notifier { socket, address })
        });
        notifier.inspect_err(|error| tracing::debug!(%error, "NOTIFY_SOCKET cannot be used")).ok()
    }

    /// Says something, such as `READY=1`. That nobody hears it stops nobody.
    pub fn say(&self, state: &str) {
        if let Err(error) = self.socket.send_to_addr(state.as_bytes(), &self.address) {
            tracing::debug!(%error, state, "Nobody could be notified");
        }
    }
}

fn address(name: &OsString) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', abstract_name @ ..] => abstract_address(abstract_name),
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no abstract names"))
}
