//! Jobs over two processes of one thread each, on loopback.
//!
//! This program starts itself for each process ([`part`]), and for the master where there is one. All processes connect
//! to each other and say so; then they are let go together, and the clock runs until the last one has its result. Each
//! then tells what it has added up and used.

pub mod gate;
pub mod part;
pub mod ports;
pub mod processes;
pub mod run;
