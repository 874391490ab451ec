//! J3 over two processes by hand.

use std::net::TcpStream;

use super::peer::Peer;
use crate::hash;
use crate::jobs::{J3_RECORDS, Run, THREADS, j3_key, share};
use crate::pairs::{PAIR, Pairs, for_each_pair};
use crate::tally::{KeySums, Sink};

/// Records in a batch.
const BATCH: usize = 4096;

/// Each number to the owner of its key, who adds it up and emits the sum.
pub fn updates(run: &Run, index: usize, stream: TcpStream) {
    let mut peer = Peer::new(stream);
    let mut sums = KeySums::new(&run.totals);
    let mut sink = Sink::new(&run.totals);
    let mut sum = |pairs: &[[u8; PAIR]]| for_each_pair(pairs, |key, value| sink.update(sums.add(key, value)));
    let mut batches: [Pairs; THREADS] = Default::default();
    for value in share(J3_RECORDS, index, THREADS) {
        let key = j3_key(value);
        let owner = hash::owner(hash::of_number(key), THREADS);
        batches[owner].push(key, value);
        if batches[owner].len() < BATCH {
            continue;
        }
        if owner == index {
            sum(batches[owner].records());
        } else {
            peer.send(batches[owner].bytes(), &[], |bytes, _| sum(bytes.as_chunks().0));
        }
        batches[owner].clear();
    }
    sum(batches[index].records());
    peer.send(batches[1 - index].bytes(), &[], |bytes, _| sum(bytes.as_chunks().0));
    peer.finish(|bytes, _| sum(bytes.as_chunks().0));
}
