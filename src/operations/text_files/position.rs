//! Where a reader is, so that another one can go on.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::plan::Piece;
use super::reader::BlockReader;
use super::resolve::{TextFile, cannot_read, inspect};
use super::watch::{FileKey, Watch};
use super::{TextFiles, TextReader};
use crate::id::Part;
use crate::workflow::{self, Result, Saved, Share, Snapshot};

/// What is left to read, in a part that any worker can go on with.
#[derive(Debug, Serialize, Deserialize)]
enum Left {
    /// Lines of a block that has been read.
    Text(String),
    /// A part of a file.
    Piece { path: PathBuf, size: Option<u64>, bytes: Option<(u64, u64)>, at: Option<u64> },
    /// A part of the names that are watched, with those of its files that have been found, and their sizes.
    Bucket { number: u8, files: Vec<(FileKey, u64)> },
}

/// Saves what a reader has left.
pub(super) fn save(reader: &TextReader, snapshot: &mut Snapshot) -> Result<()> {
    let rest = Some(&reader.text[reader.at..]).filter(|rest| !rest.is_empty()).map(str::to_owned);
    let texts = rest.into_iter().chain(reader.texts.iter().rev().cloned()).map(Left::Text);
    let pieces = reader.blocks.left().map(|(file, piece)| {
        let Piece { bytes, at, .. } = piece;
        Left::Piece { path: file.path.clone(), size: file.size, bytes, at }
    });
    let buckets = reader.watch.iter().flat_map(Watch::buckets).map(|(number, files)| Left::Bucket { number, files });
    for (number, left) in (0..).zip(texts.chain(pieces).chain(buckets)) {
        let mut bytes = Vec::new();
        workflow::save(&left, &mut bytes)?;
        snapshot.put_part(Part::Unit((reader.share as u64) << 32 | number), bytes);
    }
    Ok(())
}

/// A reader of what was left.
pub(super) fn load<F>(source: &TextFiles<F>, share: Share, saved: &Saved) -> Result<TextReader> {
    let (mut texts, mut pieces, mut files) = (Vec::new(), Vec::new(), Vec::<TextFile>::new());
    let mut buckets = Vec::new();
    for (_, mut bytes) in saved.units() {
        match workflow::load(&mut bytes)? {
            Left::Text(text) => texts.push(text),
            Left::Piece { path, size, bytes, at } => {
                let file = match files.iter().position(|file| file.path == path && file.size == size) {
                    Some(file) => file,
                    None => {
                        let now = inspect(&path)?;
                        if now.size < size {
                            let why = format!("it has become shorter than {} bytes", size.unwrap_or_default());
                            return Err(cannot_read(&path, &why));
                        }
                        files.push(TextFile { size, ..now });
                        files.len() - 1
                    }
                };
                pieces.push(Piece { file, bytes, at });
            }
            Left::Bucket { number, files } => buckets.push((number, files)),
        }
    }
    texts.reverse();
    let blocks = BlockReader::of(Arc::from(files), pieces, source.sizes, source.treatment);
    let watch = source.interval.map(|interval| Watch::resume(&source.paths, interval, buckets));
    Ok(TextReader { blocks, text: String::new(), at: 0, texts, watch, share: share.index })
}
