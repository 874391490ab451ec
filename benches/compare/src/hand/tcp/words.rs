//! J1a and J1b over two processes by hand.

use std::net::TcpStream;

use super::peer::Peer;
use crate::columns::{Column, for_each_word};
use crate::hash;
use crate::jobs::{Run, THREADS};
use crate::tally::{Sink, WordCounts};
use crate::text::{TextReader, for_each_hashed_word};

/// Words in a batch.
const BATCH: usize = 4096;
/// Bytes of a word with its count, beside its text: hash, count, and where it ends in the text.
const COUNTED: usize = 20;

/// J1a: each process counts its range, then sends the other one its words.
pub fn final_counts(run: &Run, index: usize, stream: TcpStream) {
    let mut peer = Peer::new(stream);
    let mut counts = WordCounts::default();
    let mut reader = TextReader::open(&run.input, index, THREADS).expect("the text opens");
    while reader.fill() {
        for_each_hashed_word(reader.block(), |hash, word| {
            counts.add(hash, word, 1);
        });
    }
    let mut own = WordCounts::default();
    let (mut words, mut text): (Vec<[u8; COUNTED]>, String) = Default::default();
    let mut others = Vec::new();
    for (word, count) in counts.drain() {
        let hash = hash::of_word(&word);
        if hash::owner(hash, THREADS) == index {
            own.add(hash, &word, count);
        } else {
            others.push((hash, word, count));
        }
    }
    let mut merge = |words: &[u8], text: &str| {
        let mut start = 0;
        for bytes in words.as_chunks::<COUNTED>().0 {
            let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
            let end = u32::from_le_bytes(bytes[16..].try_into().expect("four bytes")) as usize;
            own.add(number(0), &text[start..end], number(8));
            start = end;
        }
    };
    for batch in others.chunks(BATCH) {
        words.clear();
        text.clear();
        for (hash, word, count) in batch {
            text.push_str(word);
            let mut bytes = [0; COUNTED];
            bytes[..8].copy_from_slice(&hash.to_le_bytes());
            bytes[8..16].copy_from_slice(&count.to_le_bytes());
            bytes[16..].copy_from_slice(&(text.len() as u32).to_le_bytes());
            words.push(bytes);
        }
        peer.send(words.as_flattened(), text.as_bytes(), &mut merge);
    }
    peer.finish(merge);
    own.report(&run.totals);
}

/// J1b: each word to its owner, who counts it and emits the count.
pub fn updates(run: &Run, index: usize, stream: TcpStream) {
    let mut peer = Peer::new(stream);
    let mut counts = WordCounts::default();
    let mut sink = Sink::new(&run.totals);
    let mut count = |hash: u64, word: &str| sink.update(counts.add(hash, word, 1));
    let mut batches: [Column; THREADS] = Default::default();
    let mut reader = TextReader::open(&run.input, index, THREADS).expect("the text opens");
    while reader.fill() {
        for_each_hashed_word(reader.block(), |hash, word| {
            let owner = hash::owner(hash, THREADS);
            batches[owner].push(hash, word);
            if batches[owner].len() < BATCH {
                return;
            }
            if owner == index {
                batches[owner].for_each(&mut count);
            } else {
                let (words, text) = batches[owner].bytes();
                peer.send(words, text, |words, text| for_each_word(words.as_chunks().0, text, &mut count));
            }
            batches[owner].clear();
        });
    }
    batches[index].for_each(&mut count);
    let (words, text) = batches[1 - index].bytes();
    let mut receive = |words: &[u8], text: &str| for_each_word(words.as_chunks().0, text, &mut count);
    peer.send(words, text, &mut receive);
    peer.finish(receive);
}
