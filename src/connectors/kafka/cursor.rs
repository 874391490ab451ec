//! How far a partition has been read.

use std::collections::VecDeque;
use std::time::Duration;

use rskafka::client::partition::{OffsetAt, PartitionClient};
use rskafka::record::RecordAndOffset;
use serde::{Deserialize, Serialize};

use super::link::Topic;
use super::message::KafkaMessage;
use super::trouble::Trouble;

/// How many bytes a broker is asked for at once, for one partition and for all of a worker: what fits into memory
/// several times. One batch it gives in any case, however large it is.
const BYTES_OF_ONE: i32 = 1 << 20;
const BYTES_OF_ALL: i32 = 8 << 20;
const LEAST_BYTES: i32 = 64 << 10;

/// How much it is asked for where it has given nothing although there is something: behind the mark of a transaction
/// there may be a batch that is larger than what is asked for.
const MOST_BYTES: i32 = 64 << 20;

/// What is saved of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub partition: i32,
    /// The offset of the next message to emit.
    pub next: i64,
    /// The offset at which it ends, if it does.
    pub end: Option<i64>,
}

impl Cursor {
    pub fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }
}

/// A partition that is read.
#[derive(Debug)]
pub(super) struct Place {
    pub cursor: Cursor,
    /// What has been fetched and not emitted.
    found: VecDeque<RecordAndOffset>,
    /// How many bytes to ask for, if not as many as usual.
    more: Option<i32>,
}

impl From<Cursor> for Place {
    fn from(cursor: Cursor) -> Self {
        Place { cursor, found: VecDeque::new(), more: None }
    }
}

/// How many bytes each of so many partitions is asked for.
pub(super) fn bytes_of_each(partitions: usize) -> i32 {
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    (BYTES_OF_ALL / partitions.max(1)).clamp(LEAST_BYTES, BYTES_OF_ONE)
}

impl Place {
    /// The next message, if it has been fetched.
    pub fn pop(&mut self) -> Option<KafkaMessage> {
        let RecordAndOffset { record, offset } = self.found.pop_front()?;
        if self.cursor.end.is_some_and(|end| offset >= end) {
            (self.cursor.next, self.cursor.end) = (offset, Some(offset));
            self.found.clear();
            return None;
        }
        self.cursor.next = offset + 1;
        Some(KafkaMessage {
            partition: self.cursor.partition,
            offset,
            timestamp: record.timestamp.timestamp_millis(),
            key: record.key,
            headers: record.headers.into_iter().collect(),
            payload: record.value,
        })
    }

    /// Fetches what comes next, and waits so long for it.
    pub async fn fetch(&mut self, topic: &Topic, bytes: i32, turn: Duration) -> Result<(), Trouble> {
        let leader = topic.leader(self.cursor.partition)?;
        let (bytes, turn) = (self.more.unwrap_or(bytes), i32::try_from(turn.as_millis()).unwrap_or(0));
        match leader.fetch_records(self.cursor.next, 1..bytes + 1, turn).await.map_err(Trouble::from) {
            Ok((records, high)) => {
                self.take(records, high, bytes);
                Ok(())
            }
            Err(Trouble::OutOfRange) => self.find_range(leader).await,
            Err(trouble) => Err(trouble),
        }
    }

    fn take(&mut self, records: Vec<RecordAndOffset>, high: i64, asked: i32) {
        let Cursor { next, end, .. } = &mut self.cursor;
        self.more = None;
        if records.is_empty() && high > *next {
            if asked < MOST_BYTES {
                self.more = Some(asked.saturating_mul(4).min(MOST_BYTES));
            } else {
                // What is not there any more of what there was at the start: it was compacted, or is the mark of a
                // transaction.
                *next = end.filter(|end| high >= *end).unwrap_or(*next);
                self.more = Some(asked);
            }
        }
        self.found = records.into();
    }

    /// Goes on with the first message that is there.
    async fn find_range(&mut self, leader: &PartitionClient) -> Result<(), Trouble> {
        let (first, last) = (leader.get_offset(OffsetAt::Earliest).await?, leader.get_offset(OffsetAt::Latest).await?);
        let Cursor { partition, next, .. } = &mut self.cursor;
        if *next > last {
            return Err(Trouble::Refused(format!(
                "partition {partition} ends at {last}, and has been read up to {next}: the topic was made anew, or its \
                 brokers have lost data; start the workflow anew, without its checkpoints, if that is right"
            )));
        }
        if *next < first {
            let (lost, topic) = (first - *next, leader.topic());
            tracing::warn!(topic, partition, lost, "Messages were deleted before they were read");
            *next = first;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rskafka::chrono::DateTime;
    use rskafka::record::Record;

    use super::*;

    fn record(offset: i64) -> RecordAndOffset {
        let timestamp = DateTime::from_timestamp_millis(offset * 10).expect("a time");
        RecordAndOffset { record: Record { key: None, value: None, headers: BTreeMap::new(), timestamp }, offset }
    }

    fn place(next: i64, end: Option<i64>) -> Place {
        Place::from(Cursor { partition: 0, next, end })
    }

    #[test]
    fn a_partition_is_read_to_its_end() {
        let mut place = place(3, Some(6));
        place.take(vec![record(3), record(5), record(7)], 9, BYTES_OF_ONE);
        let given: Vec<_> =
            std::iter::from_fn(|| place.pop()).map(|message| (message.offset, message.timestamp)).collect();
        assert_eq!(given, [(3, 30), (5, 50)]);
        assert!(place.cursor.has_ended());
    }

    #[test]
    fn what_gives_nothing_is_asked_for_more_and_then_ends() {
        let (mut open, mut bounded) = (place(3, None), place(3, Some(5)));
        let mut asked = bytes_of_each(1);
        for _ in 0..4 {
            open.take(Vec::new(), 5, asked);
            bounded.take(Vec::new(), 5, asked);
            asked = open.more.expect("more");
        }
        assert_eq!((asked, open.cursor.next, bounded.cursor.has_ended()), (MOST_BYTES, 3, true));
        open.take(vec![record(4)], 5, asked);
        assert_eq!((open.more, open.pop().map(|message| message.offset)), (None, Some(4)));
        open.take(Vec::new(), 5, asked);
        assert_eq!(open.more, None, "there is nothing behind it");
    }

    #[test]
    fn what_is_asked_for_is_bounded() {
        assert_eq!(bytes_of_each(0), BYTES_OF_ONE);
        assert_eq!(bytes_of_each(16), BYTES_OF_ALL / 16);
        assert_eq!(bytes_of_each(usize::MAX), LEAST_BYTES);
    }
}
