//! Who reads what: files are cut into splits, and splits dealt to shares.

use crate::workflow::Share;

/// What the plan aims at, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Largest split. Shares take turns in splits of this size at most, so that all of them are at about the same place
    /// of the input at about the same time, and no share gets all of the hard part.
    pub split: u64,
    /// Smallest part of a file that is worth a worker of its own.
    pub least: u64,
    /// What is read at once.
    pub block: usize,
}

impl Sizes {
    /// 16 MiB are read in 10 ms or so, which is what turns cost nothing against; 64 KiB are read in the time in which a
    /// file is opened and a worker woken. A block of 64 KiB stays in a second-level cache while it is cut into lines,
    /// and is a fraction of a millisecond's work for what stands behind.
    pub const DEFAULT: Sizes = Sizes { split: 16 << 20, least: 64 << 10, block: 64 << 10 };
}

/// A part of a file that is read from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The number of the file.
    pub file: usize,
    /// The bytes in which its lines begin; none for a file that is read until it ends.
    pub bytes: Option<(u64, u64)>,
    /// Where its next line begins, if some have been read before.
    pub at: Option<u64>,
}

/// The pieces of a share, in the order of the files. `files` are their sizes, none for those that have none.
///
/// The files are seen as one long one, cut into splits of equal size; split `n` goes to share `n` modulo the number of
/// shares. There are as many splits for each share, so all have the same to read, give or take a cut that is moved to
/// the boundary of a file. Depends on the arguments alone, and is linear in their size.
pub(super) fn plan(files: &[Option<u64>], share: Share, sizes: Sizes) -> Vec<Piece> {
    let of = share.of.max(1);
    // Where each file begins in the long one, and where the last one ends.
    let mut begins = Vec::with_capacity(files.len() + 1);
    let mut total = 0u64;
    for size in files {
        begins.push(total);
        total += size.unwrap_or(0);
    }
    begins.push(total);
    let splits = splits(total, of as u64, sizes);
    let mut pieces: Vec<Piece> = Vec::new();
    for split in (share.index as u64..splits).step_by(of) {
        let from = snap(cut(total, split, splits), &begins, sizes.least);
        let to = snap(cut(total, split + 1, splits), &begins, sizes.least);
        add(&mut pieces, &begins, from, to);
    }
    let endless = files.iter().enumerate().filter(|(_, size)| size.is_none()).skip(share.index).step_by(of);
    pieces.extend(endless.map(|(file, _)| Piece { file, bytes: None, at: None }));
    pieces.sort_by_key(|piece| (piece.file, piece.bytes));
    pieces
}

/// How many splits there are: a multiple of the shares, unless the splits would become too small.
fn splits(total: u64, of: u64, sizes: Sizes) -> u64 {
    if total == 0 {
        return 0;
    }
    let even = total.div_ceil(sizes.split.max(1).saturating_mul(of)) * of;
    let most = (total / sizes.least.max(1)).max(1);
    if even <= most {
        even
    } else if most >= of {
        most - most % of
    } else {
        most
    }
}

/// Where split `n` begins.
fn cut(total: u64, n: u64, splits: u64) -> u64 {
    // The quotient is at most `total`.
    u64::try_from(u128::from(total) * u128::from(n) / u128::from(splits)).unwrap_or(total)
}

/// The number of the file that a place of the long one is in.
fn file_at(begins: &[u64], place: u64) -> usize {
    begins.partition_point(|begin| *begin <= place) - 1
}

/// Moves a cut to the nearer boundary of its file when it would leave a part that is not worth reading alone.
fn snap(cut: u64, begins: &[u64], least: u64) -> u64 {
    let file = file_at(begins, cut);
    let Some(end) = begins.get(file + 1) else { return cut };
    let (before, behind) = (cut - begins[file], end - cut);
    if before.min(behind) >= least {
        cut
    } else if before <= behind {
        begins[file]
    } else {
        *end
    }
}

/// Adds what lies from one place of the long file to another; joins it to the piece before where they touch.
fn add(pieces: &mut Vec<Piece>, begins: &[u64], from: u64, to: u64) {
    let mut at = from;
    while at < to {
        let file = file_at(begins, at);
        let (begin, end) = (begins[file], begins[file + 1].min(to));
        match pieces.last_mut() {
            Some(Piece { file: last, bytes: Some((_, last_end)), .. }) if *last == file && *last_end == at - begin => {
                *last_end = end - begin;
            }
            _ => pieces.push(Piece { file, bytes: Some((at - begin, end - begin)), at: None }),
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(pieces: &[Piece]) -> u64 {
        pieces.iter().filter_map(|piece| piece.bytes).map(|(from, to)| to - from).sum()
    }

    fn of(files: &[Option<u64>], index: usize, of: usize) -> Vec<Piece> {
        plan(files, Share { index, of }, Sizes::DEFAULT)
    }

    #[test]
    fn every_share_gets_the_same_of_a_big_file() {
        let shares: Vec<_> = (0..2).map(|index| of(&[Some(200 << 20)], index, 2)).collect();
        assert_eq!(bytes(&shares[0]), 100 << 20);
        assert_eq!(bytes(&shares[1]), 100 << 20);
        assert!(shares[0].len() > 5, "in turns: {shares:?}");
    }

    #[test]
    fn every_share_gets_some_of_a_small_file_and_none_gets_crumbs() {
        for index in 0..8 {
            assert_eq!(bytes(&of(&[Some(1 << 20)], index, 8)), 1 << 17);
        }
        let shares: Vec<_> = (0..8).map(|index| bytes(&of(&[Some(100 << 10)], index, 8))).collect();
        assert_eq!(shares, [100 << 10, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn one_share_reads_files_whole_and_in_order() {
        let files = [Some(5), None, Some(0), Some(100 << 20), None];
        let whole = |file, size| Piece { file, bytes: Some((0, size)), at: None };
        let endless = |file| Piece { file, bytes: None, at: None };
        assert_eq!(of(&files, 0, 1), [whole(0, 5), endless(1), whole(3, 100 << 20), endless(4)]);
    }

    #[test]
    fn small_files_are_not_cut() {
        let files = [Some(60 << 10); 100];
        let pieces: Vec<_> = (0..7).flat_map(|index| of(&files, index, 7)).collect();
        assert_eq!(pieces.len(), 100);
        for index in 0..7 {
            assert!((13..=16).contains(&of(&files, index, 7).len()));
        }
    }

    #[test]
    fn nothing_is_planned_for_nothing() {
        assert_eq!(of(&[], 0, 3), []);
        assert_eq!(of(&[Some(0)], 0, 3), []);
    }

    proptest! {
        /// Every byte of every file is in exactly one piece of one share.
        #[test]
        fn pieces_cover_everything_once(
            files in prop::collection::vec(prop::option::weighted(0.9, 0u64..500), 0..12),
            of in 1usize..9,
            split in 1u64..300,
            least in 1u64..60,
        ) {
            let sizes = Sizes { split, least, block: 1 };
            let mut all: Vec<Piece> = (0..of).flat_map(|index| plan(&files, Share { index, of }, sizes)).collect();
            all.sort_by_key(|piece| (piece.file, piece.bytes));
            for (file, size) in files.iter().enumerate() {
                let pieces: Vec<_> = all.iter().filter(|piece| piece.file == file).collect();
                let Some(size) = size else {
                    prop_assert_eq!(pieces, [&Piece { file, bytes: None, at: None }]);
                    continue;
                };
                let mut at = 0;
                for piece in pieces {
                    let Some((from, to)) = piece.bytes else { panic!("{piece:?} of a file with a size") };
                    prop_assert!(from == at && to > from);
                    prop_assert!(to - from >= least.min(*size));
                    at = to;
                }
                prop_assert_eq!(at, *size);
            }
        }
    }
}
