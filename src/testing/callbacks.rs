//! Callbacks of an operation, called by hand.

use crate::workflow::{Combine, Error, Pull, React, Result, Share, Source};

/// Calls [`React::react`] with one record and gives what it emits.
///
/// ```
/// use skitter::operations::Count;
/// use skitter::testing;
/// use skitter::workflow::React;
///
/// let count = Count::by(|word: &&str| word.len());
/// let mut state = count.init();
/// assert_eq!(testing::react(&count, &mut state, "to")?, [(2, 1)]);
/// assert_eq!(testing::react(&count, &mut state, "be")?, [(2, 2)]);
/// # Ok::<(), skitter::workflow::Error>(())
/// ```
///
/// # Errors
/// Those of the callback.
pub fn react<O: React>(operation: &O, state: &mut O::State, record: O::In) -> Result<Vec<O::Out>> {
    let mut emitted = Vec::new();
    operation.react(state, record, &mut emitted)?;
    Ok(emitted)
}

/// Calls [`React::finish`], as at the end of the stream, and gives what it emits.
///
/// ```
/// use skitter::operations::Fold;
/// use skitter::testing;
/// use skitter::workflow::React;
///
/// let sum = Fold::new(0u64, |sum: &mut u64, n: u64| *sum += n);
/// let mut state = sum.init();
/// testing::react(&sum, &mut state, 3)?;
/// testing::react(&sum, &mut state, 4)?;
/// assert_eq!(testing::finish(&sum, &mut state)?, [7]);
/// # Ok::<(), skitter::workflow::Error>(())
/// ```
///
/// # Errors
/// Those of the callback.
pub fn finish<O: React>(operation: &O, state: &mut O::State) -> Result<Vec<O::Out>> {
    let mut emitted = Vec::new();
    operation.finish(state, &mut emitted)?;
    Ok(emitted)
}

/// Calls [`Combine::merge`] with one partial and gives what it emits.
///
/// ```
/// use skitter::operations::Count;
/// use skitter::testing;
/// use skitter::workflow::React;
///
/// let count = Count::by(|letter: &char| *letter);
/// let mut state = count.init();
/// assert_eq!(testing::merge(&count, &'a', &mut state, 10)?, [('a', 10)]);
/// assert_eq!(testing::merge(&count, &'a', &mut state, 5)?, [('a', 15)]);
/// # Ok::<(), skitter::workflow::Error>(())
/// ```
///
/// # Errors
/// Those of the callback.
pub fn merge<O: Combine>(
    operation: &O,
    key: &O::Key,
    state: &mut O::State,
    partial: O::Partial,
) -> Result<Vec<O::Out>> {
    let mut emitted = Vec::new();
    operation.merge(key, state, partial, &mut emitted)?;
    Ok(emitted)
}

/// Records that [`read_all`] asks a source for at a time: few, so that a source is tested in going on where it stopped.
const BUDGET: usize = 16;

/// Opens a source in `shares` shares and reads each to its end, one after the other; gives all that they emit. Does not
/// wait where the source says that there is nothing for the time being, but asks again.
///
/// ```
/// use skitter::operations::StreamSource;
/// use skitter::testing;
///
/// let source = StreamSource::split(|share| (share.index as u64..100).step_by(share.of));
/// let mut numbers = testing::read_all(&source, 3)?;
/// numbers.sort();
/// assert_eq!(numbers, (0..100).collect::<Vec<_>>());
/// # Ok::<(), skitter::workflow::Error>(())
/// ```
///
/// # Errors
/// Those of the callbacks, and [`Error::Operation`] when the source cannot be split and `shares` is not 1, or when
/// `shares` is 0.
pub fn read_all<O: Source>(source: &O, shares: usize) -> Result<Vec<O::Out>> {
    if shares == 0 || (shares > 1 && !source.splits()) {
        return Err(Error::Operation(format!("source `{}` cannot be read in {shares} shares", O::NAME)));
    }
    let mut emitted = Vec::new();
    for index in 0..shares {
        let mut reader = source.open(Share { index, of: shares })?;
        while source.read(&mut reader, BUDGET, &mut emitted)? != Pull::End {}
    }
    Ok(emitted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::StreamSource;

    #[test]
    fn a_source_in_one_piece_is_not_split() {
        let source = StreamSource::new(|| 0..40u64);
        assert_eq!(read_all(&source, 1), Ok((0..40).collect()));
        assert!(read_all(&source, 2).is_err());
        assert!(read_all(&source, 0).is_err());
    }
}
