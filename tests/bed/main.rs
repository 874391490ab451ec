//! The cluster over hosts with addresses, names and disks of their own, and what becomes of it when cables are cut and
//! machines die. `scripts/check` runs these tests where `scripts/testbed check` says that there can be such hosts.

// Lets helper functions use what only tests may.
#![cfg(test)]

mod bed;
#[path = "../it/cli/cargo.rs"]
mod cargo;
mod cluster;
mod deploy;
mod faults;
mod itself;
#[path = "../it/recovery/oracle.rs"]
mod oracle;
mod program;
mod recovery;
mod words;
