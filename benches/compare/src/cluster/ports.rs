//! Ports that are free.

use std::net::{Ipv4Addr, TcpListener};

use crate::jobs::PORTS;

/// Where ports are looked for: below those that the system gives to connections.
const FROM: u16 = 10_000;
/// The end of where ports are looked for.
const TO: u16 = 30_000;

/// The first ports of as many blocks of [`PORTS`] that are free on loopback.
///
/// # Errors
/// When there are not so many.
pub fn free<const N: usize>() -> Result<[u16; N], String> {
    let blocks = (TO - FROM) / PORTS;
    // Whoever else looks for ports at this time begins elsewhere.
    let first = std::process::id() as u16 % blocks;
    let candidates = (0..blocks).map(|block| FROM + (first + block) % blocks * PORTS);
    let found: Vec<u16> = candidates.filter(|base| (*base..base + PORTS).all(is_free)).take(N).collect();
    found.try_into().map_err(|_| format!("there are no {N} blocks of {PORTS} free ports from {FROM} to {TO}"))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}
