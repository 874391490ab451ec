//! Hosts that are reached over ssh, and what is started and stopped there.
//!
//! ```text
//!  here                                     there
//!  Login ── ssh ── `sh` ─ is a release there? ─ exec ─▶ agent ──runs──▶ `skitter worker daemon …`
//!    Host ◀──────────── lines of JSON ─────────────────▶ (stdin, stdout)
//! ```
//!
//! On each host stands an *agent*, the release's own program at the other end of an ssh session. It does what it is
//! asked and holds the lease: when its input ends, because whoever deploys has ended, has been killed or is cut off, it
//! stops what it has started and lets go of the lock. Only when it is told to leave things as they are does it not.

mod host;
mod login;
mod protocol;
mod trouble;

pub use host::{Host, Lines, Release};
pub use login::{Login, SshOptions};
pub use protocol::{Answer, Found, MARK, MAX_LINE, Request, Running, line};
pub use trouble::Trouble;
