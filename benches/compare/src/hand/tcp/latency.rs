//! J4 over two processes by hand: a source that is the owner of half of the keys, and the owner of the others, who
//! blocks while there is nothing to do.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::hash::{self, FastBuild};
use crate::jobs::{Run, THREADS};
use crate::pace::{Due, Event, LatencySink, Pacer, rest};

/// Bytes of an event.
const EVENT: usize = 24;
/// Events that are written at once at most; they leave as soon as no other event is due.
const BATCH: usize = 4096;

pub fn run(run: &Run, index: usize, stream: TcpStream) {
    let mut counts: HashMap<u64, u64, FastBuild> = HashMap::default();
    let mut sink = LatencySink::new(&run.totals);
    let arrive = |event: Event| {
        let count = counts.entry(event.key).or_insert(0);
        *count += 1;
        sink.arrived(event, *count);
    };
    let done = if index == 0 { emit(run, stream, arrive) } else { receive(stream, arrive) };
    done.expect("the other process is there");
}

fn emit(run: &Run, mut stream: TcpStream, mut arrive: impl FnMut(Event)) -> std::io::Result<()> {
    let mut pacer = Pacer::new(run.rate);
    let mut batch: Vec<[u8; EVENT]> = Vec::new();
    loop {
        let due = pacer.poll();
        let full = match due {
            Due::Event(event) if hash::owner(hash::of_number(event.key), THREADS) == 0 => {
                arrive(event);
                BATCH
            }
            Due::Event(Event { key, emitted, late }) => {
                let mut bytes = [0; EVENT];
                for (bytes, number) in bytes.chunks_exact_mut(8).zip([key, emitted, late]) {
                    bytes.copy_from_slice(&number.to_le_bytes());
                }
                batch.push(bytes);
                BATCH
            }
            Due::Later(_) | Due::End => 1,
        };
        if batch.len() >= full {
            stream.write_all(batch.as_flattened())?;
            batch.clear();
        }
        match due {
            Due::Event(_) => {}
            Due::Later(ns) => rest(ns),
            Due::End => return stream.shutdown(Shutdown::Write),
        }
    }
}

fn receive(mut stream: TcpStream, mut arrive: impl FnMut(Event)) -> std::io::Result<()> {
    let (mut bytes, mut end) = (vec![0; BATCH * EVENT], 0);
    loop {
        match stream.read(&mut bytes[end..])? {
            0 => return Ok(()),
            read => end += read,
        }
        let (events, rest) = bytes[..end].as_chunks::<EVENT>();
        for event in events {
            let number = |at: usize| u64::from_le_bytes(event[at..at + 8].try_into().expect("eight bytes"));
            arrive(Event { key: number(0), emitted: number(8), late: number(16) });
        }
        let left = rest.len();
        bytes.copy_within(end - left..end, 0);
        end = left;
    }
}
