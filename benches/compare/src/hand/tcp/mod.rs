//! Jobs over two processes, by hand: the practical limit over TCP.
//!
//! Each process has one thread. It is source and keyed stage in one, as are the threads of one process; and it reads
//! and writes, by calls that never block, so that neither process can wait for the other one for ever, and none of the
//! two processors has to change between threads.

mod latency;
mod peer;
mod sums;
mod words;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::gate;
use crate::jobs::{Job, Run};

/// How long one process waits for the other one to listen.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs this process's part of the job to its end.
pub fn run(run: &Run, index: usize, ports: [u16; 2]) {
    let stream = connect(index, ports[0]).expect("the other process is there");
    stream.set_nodelay(true).expect("a TCP connection");
    gate::pass();
    match run.job {
        Job::J1a => words::final_counts(run, index, stream),
        Job::J1b => words::updates(run, index, stream),
        Job::J3 => sums::updates(run, index, stream),
        Job::J4 => latency::run(run, index, stream),
        Job::J2 => unreachable!("nothing of J2 travels"),
    }
}

fn connect(index: usize, port: u16) -> std::io::Result<TcpStream> {
    let address = (Ipv4Addr::LOCALHOST, port);
    if index == 0 {
        return Ok(TcpListener::bind(address)?.accept()?.0);
    }
    let begin = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Err(_) if begin.elapsed() < LIMIT => thread::sleep(Duration::from_millis(1)),
            connected => return connected,
        }
    }
}
