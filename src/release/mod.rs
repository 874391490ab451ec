//! What is brought to the hosts of a cluster: an application as one tarball, and the package that an application begins
//! as. Nothing here is a member of a cluster, and nothing prints: `cli` says what happened.
//!
//! ```text
//! NAME-VERSION/
//!   bin/skitter             the program: the application with its workflows
//!   skitter.toml            every key of the configuration
//!   skitter-worker.service  a worker for systemd
//!   README.md               how to use it
//!   LICENSES.txt            of all that the program is made of
//!   RELEASE.json            what this is, and the sums of all other files
//! ```
//!
//! Two releases of one commit, made by one user and toolchain, have the same bytes. (The program has paths of the
//! crates' sources in it, for messages of panics; and those are below the user's home.)

mod application;
mod archive;
mod cargo;
mod contents;
mod elf;
mod error;
mod here;
mod licenses;
mod limits;
mod make;
mod manifest;
mod target;
mod template;
mod tools;
mod verify;

pub use application::{Application, Dependency};
pub use error::{Fault, ReleaseError};
pub use here::Release;
pub use make::{Order, Packed, make};
pub use manifest::{MANIFEST, Manifest, Sum, hex};
pub use tools::Tools;
pub use verify::verify;
