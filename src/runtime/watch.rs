//! The way between two nodes of a deployment, watched.
//!
//! When a cable is cut, TCP goes on sending what was under way for a quarter of an hour before it gives up. A limit to
//! that cannot tell a cut from a peer that does not read, and a node whose threads are all in calls of user code does
//! not read for as long as these take; heartbeats among the batches would be as late. So each pair of nodes that
//! exchanges batches has a second connection, over which nothing is sent: while it is at rest, the systems of the two
//! hosts ask each other whether they are there, whatever the processes do.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::connection::Lost;
use crate::net::BoxStream;

/// The time of rest after which a system asks, and the time between questions that are not answered.
const REST: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_secs(1);

/// Questions without an answer after which the way is cut, 6 s after the last sign of life: on a network that loses one
/// packet in a hundred, so many are lost in a row once in a year.
const QUESTIONS: u32 = 4;

/// Waits until the way is cut, and says how the system calls that. Nothing is said when the peer has closed the
/// connection: it has no more to do with the deployment, or has died, and others tell which.
///
/// One side asks; the other one has no need to.
pub async fn watch(stream: BoxStream, asks: bool) -> Option<Lost> {
    let watched = async {
        if asks {
            stream.probe(REST, INTERVAL, QUESTIONS)?;
        }
        stream.into_here()?.read(&mut [0]).await
    };
    match watched.await {
        Ok(0) => None,
        Ok(_) => Some(Lost::Violation("it sends something where nothing is to be said".to_owned())),
        Err(error) => Some(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_closes_is_nothing_to_tell_and_one_that_talks_is() {
        let (here, there) = tokio::io::duplex(1);
        drop(there);
        assert!(watch(Box::new(here), true).await.is_none());
        let (here, mut there) = tokio::io::duplex(1);
        there.write_all(&[1]).await.expect("room");
        let lost = watch(Box::new(here), false).await.map(|lost| lost.to_string());
        assert_eq!(lost.as_deref(), Some("it sends something where nothing is to be said"));
    }
}
