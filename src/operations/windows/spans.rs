//! Which windows there are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::operations::watermarks::milliseconds;
use crate::workflow::{Error, Result, Timestamp};

/// Times that are farther than this from 1970, some 146 million years, are in no window.
pub(super) const FARTHEST: Timestamp = Timestamp::MAX / 2;

/// A span of event time: from `start`, and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Its first millisecond.
    pub start: Timestamp,
    /// The first millisecond behind it.
    pub end: Timestamp,
}

impl Window {
    /// The latest time in it: what a result of the window has as its own time.
    pub fn last(&self) -> Timestamp {
        self.end - 1
    }
}

/// Windows of one size, at equal distances, aligned to 1970 (UTC): they lie side by side, or overlap.
///
/// Overlapping windows share *slices*, spans that no window begins or ends in: a record is added to one slice, however
/// many windows it is in, and slices are merged as windows end (Carbone, Traub, Katsifodimos, Haridi and Markl, 2016).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    size: Timestamp,
    slide: Timestamp,
    /// How long a slice is: windows begin and end where slices do.
    slice: Timestamp,
    offset: Timestamp,
    late: Timestamp,
    early: Option<Timestamp>,
}

impl Windows {
    /// Windows side by side.
    pub fn tumbling(size: Duration) -> Self {
        Windows::sliding(size, size)
    }

    /// Windows of a size, one beginning every `slide`, which is the size at most.
    pub fn sliding(size: Duration, slide: Duration) -> Self {
        let (size, slide) = (milliseconds(size), milliseconds(slide));
        Windows { size, slide, slice: common(size, slide), offset: 0, late: 0, early: None }
    }

    /// Windows begin so much later, as those of days in a time zone do.
    #[must_use]
    pub fn offset(self, offset: Duration) -> Self {
        Windows { offset: milliseconds(offset), ..self }
    }

    /// Keeps a window for so long after its end. A record that comes in that time is added, and its key's result given
    /// again. What comes later leaves by port [`Late`](super::Late).
    #[must_use]
    pub fn allowed_lateness(self, late: Duration) -> Self {
        Windows { late: milliseconds(late), ..self }
    }

    /// Gives results of windows before their end, too, as far as they have come, every so much of event time.
    #[must_use]
    pub fn early_every(self, interval: Duration) -> Self {
        Windows { early: Some(milliseconds(interval).max(1)), ..self }
    }

    /// # Errors
    /// When there are no such windows.
    pub(super) fn check(&self) -> Result<()> {
        // So large that nothing overflows where times are those of this and the next hundred million years.
        const MOST: Timestamp = Timestamp::MAX / 1024;
        let refuse = |what: &str| Err(Error::Operation(what.to_owned()));
        match self {
            Windows { size, .. } if *size < 1 => refuse("a window is a millisecond long at least"),
            Windows { slide, .. } if *slide < 1 => refuse("windows begin a millisecond apart at least"),
            Windows { size, slide, .. } if slide > size => {
                refuse("windows begin farther apart than they are long, so some records would be in none")
            }
            Windows { size, offset, late, .. } if size.max(offset).max(late) > &MOST => {
                refuse("windows, their offset and their lateness are 285,000 years long at most")
            }
            _ => Ok(()),
        }
    }

    /// Whether there are windows at this time: it is not some 146 million years or more from 1970.
    pub(super) fn are_at(time: Timestamp) -> bool {
        (-FARTHEST..=FARTHEST).contains(&time)
    }

    /// The beginning of the slice that a time is in.
    #[inline(always)]
    pub(super) fn slice_of(&self, time: Timestamp) -> Timestamp {
        time.saturating_sub(time.saturating_sub(self.offset).rem_euclid(self.slice))
    }

    /// The window that ends there.
    pub(super) fn ending(&self, end: Timestamp) -> Window {
        Window { start: end.saturating_sub(self.size), end }
    }

    /// The end of the first window that ends behind a time: of a slice's, the first window that it is in.
    pub(super) fn end_after(&self, time: Timestamp) -> Timestamp {
        // Windows end where others begin, or in between, by the remainder of their size.
        let behind = time.saturating_sub(self.offset).saturating_sub(self.size).rem_euclid(self.slide.max(1));
        time.saturating_add(self.slide - behind)
    }

    /// The end of the last window that a slice is in.
    pub(super) fn last_end(&self, slice: Timestamp) -> Timestamp {
        let most = slice.saturating_add(self.size);
        most.saturating_sub(most.saturating_sub(self.offset).saturating_sub(self.size).rem_euclid(self.slide.max(1)))
    }

    /// The windows that a slice is in, that have ended by `time` and are kept.
    pub(super) fn kept(&self, slice: Timestamp, time: Timestamp) -> impl Iterator<Item = Window> + use<> {
        let windows = *self;
        let step = usize::try_from(self.slide).unwrap_or(usize::MAX);
        let ended = (self.end_after(slice)..=self.last_end(slice).min(time)).step_by(step);
        ended.filter(move |end| end.saturating_add(windows.late) > time).map(move |end| windows.ending(end))
    }

    pub(super) fn slide(&self) -> Timestamp {
        self.slide
    }

    pub(super) fn size(&self) -> Timestamp {
        self.size
    }

    pub(super) fn is_tumbling(&self) -> bool {
        self.size == self.slide
    }

    /// How long a window is kept after its end.
    pub(super) fn late(&self) -> Timestamp {
        self.late
    }

    /// The last time for early results up to `time`.
    pub(super) fn early_at(&self, time: Timestamp) -> Option<Timestamp> {
        self.early.map(|interval| time.saturating_sub(time.rem_euclid(interval)))
    }
}

/// The longest time of which both are multiples; a millisecond at least.
fn common(a: Timestamp, b: Timestamp) -> Timestamp {
    let (mut a, mut b) = (a.max(1), b.max(1));
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn windows(size: i64, slide: i64, offset: i64) -> Windows {
        Windows { size, slide, slice: common(size, slide), offset, late: 0, early: None }
    }

    #[test]
    fn tumbling_windows_are_aligned_to_1970() {
        let tens = Windows::tumbling(Duration::from_millis(10));
        assert_eq!((tens.slice_of(19), tens.end_after(10), tens.last_end(10)), (10, 20, 20));
        assert_eq!((tens.slice_of(-1), tens.end_after(-10)), (-10, 0));
        let later = tens.offset(Duration::from_millis(3));
        assert_eq!((later.slice_of(2), later.slice_of(3), later.end_after(3)), (-7, 3, 13));
    }

    #[test]
    fn what_are_no_windows_is_refused() {
        let second = Duration::from_secs(1);
        for wrong in [Windows::tumbling(Duration::ZERO), Windows::sliding(second, second * 2)] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        assert!(Windows::sliding(second, Duration::from_nanos(1)).check().is_err());
        assert!(Windows::tumbling(Duration::MAX).check().is_err());
        assert!(Windows::sliding(second * 5, second * 2).check().is_ok());
    }

    proptest! {
        /// A slice is in the windows that its first and its last millisecond are in, and these are all that there are.
        #[test]
        fn slices_are_in_whole_windows(
            (size, slide) in (1i64..50).prop_flat_map(|size| (Just(size), 1..=size)),
            offset in 0i64..60,
            time in -200i64..200,
        ) {
            let windows = windows(size, slide, offset);
            let slice = windows.slice_of(time);
            prop_assert!(slice <= time && time < slice + windows.slice);
            let ends = |time: i64| -> Vec<i64> {
                (time + 1..=time + size).filter(|end| (end - size - offset).rem_euclid(slide) == 0).collect()
            };
            for inside in [slice, time, slice + windows.slice - 1] {
                prop_assert_eq!(ends(inside), ends(time));
            }
            prop_assert_eq!(ends(time).first().copied(), Some(windows.end_after(slice)));
            prop_assert_eq!(ends(time).last().copied(), Some(windows.last_end(slice)));
        }
    }
}
