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
//! stops what it has started and lets go of the lock. Only when it is told to leave things as they are does it not. The
//! lease ends, too, when nothing is heard for a while: a host that was cut off would otherwise keep all of it for
//! hours.
//!
//! Below the directory of the release may stand, beside a release or in its place, what was sent there:
//!
//! ```text
//! current -> releases/0.1.0-5b2f…   the release that counts
//! releases/VERSION-BUILD/           each that was sent, and `history`, in which order they were current
//! files/SUM/                        directories that became those that workers run in
//! logs/                             what nodes write
//! ```

mod delivery;
mod host;
mod login;
mod machine;
mod parcel;
mod protocol;
mod trouble;

pub use delivery::{Delivery, deliver};
pub use host::{Host, Lines, Release};
pub use login::{Login, SshOptions, hold};
pub use parcel::{Packing, Parcel, files_in, packing};
pub use protocol::{Answer, End, Found, Gone, LEASE, MARK, MAX_LINE, Request, Running, line};
pub use trouble::Trouble;
