//! One side of a connection, with a test at the other.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::DuplexStream;

use super::*;
use crate::actor::{self, Actor, ActorProcessingErr, ActorRef};
use crate::id::VertexId;
use crate::net::Stream;
use crate::workflow::Messages;

const OWN: WorkerId = WorkerId { vertex: VertexId(1), index: 0 };
const OTHER: WorkerId = WorkerId { vertex: VertexId(0), index: 3 };

/// A worker that keeps what it is sent.
struct Ear(SyncSender<Message>);

impl Actor for Ear {
    type Msg = Message;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _own: ActorRef<Message>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _own: ActorRef<Message>, message: Message, (): &mut ()) -> Result<(), ActorProcessingErr> {
        drop(self.0.try_send(message));
        Ok(())
    }
}

/// A connection whose reader runs.
struct Side {
    connection: Arc<Connection>,
    heard: Receiver<Message>,
    other: DuplexStream,
    lost: tokio::sync::oneshot::Receiver<Lost>,
    _tasks: [actor::Task; 2],
    ear: ActorRef<Message>,
}

impl Drop for Side {
    fn drop(&mut self) {
        self.ear.stop(None);
    }
}

/// `OTHER` may have two links to `OWN`.
async fn side() -> Side {
    side_that(true).await
}

/// One that sends what is to be sent, or one whose peer takes none of it.
async fn side_that(sends: bool) -> Side {
    let (own, other) = tokio::io::duplex(1 << 16);
    let (tell, heard) = sync_channel(1024);
    let ear = actor::spawn(Ear(tell), (), None).await.expect("an actor");
    let connection = Connection::new("w2@there".to_owned());
    let mailboxes = Arc::new(BTreeMap::from([(OWN, Mailbox::new(ear.clone(), Arc::default()))]));
    let knows = |header: Header| header.from == OTHER && header.link < 2;
    let reader = Reader { connection: Arc::clone(&connection), mailboxes, knows: Box::new(knows) };
    let (incoming, outgoing) = Stream::into_halves(Box::new(own));
    let (ended, lost) = tokio::sync::oneshot::channel();
    let reads = actor::task(async move { drop(ended.send(reader.run(incoming).await)) });
    let own = Arc::clone(&connection);
    let writes = actor::task(async move {
        if sends {
            drop(own.write(outgoing).await);
        } else {
            let _kept = outgoing;
            std::future::pending::<()>().await;
        }
    });
    Side { connection, heard, other, lost, _tasks: [reads, writes], ear }
}

fn frame(header: Header, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let write = |bytes: &mut Vec<u8>| {
        bytes.extend_from_slice(body);
        Ok::<(), TooLong>(())
    };
    header.frame(&mut bytes, write).expect("it is short");
    bytes
}

fn to_own(kind: Kind, link: u32) -> Header {
    Header { kind, to: OWN, from: OTHER, link }
}

fn run<R>(test: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(test)
}

/// Why a connection ends after these bytes.
fn lost_after(bytes: &[u8]) -> String {
    run(async {
        let mut side = side().await;
        // It may have had enough before it has taken all.
        let _ = side.other.write_all(bytes).await;
        let _ = side.other.shutdown().await;
        (&mut side.lost).await.expect("it ends").to_string()
    })
}

#[test]
fn what_no_node_sends_ends_the_connection() {
    let mut too_many = Vec::new();
    (0..=REMOTE_WINDOW).for_each(|_| too_many.extend(frame(to_own(Kind::Batch, 0), &[])));
    let nobody = Header { to: WorkerId { index: 7, ..OWN }, ..to_own(Kind::Batch, 0) };
    let stranger = Header { from: OWN, ..to_own(Kind::Batch, 0) };
    let twice = [frame(to_own(Kind::End, 1), &[]), frame(to_own(Kind::End, 1), &[])].concat();
    let late = [frame(to_own(Kind::End, 1), &[]), frame(to_own(Kind::Batch, 1), &[])].concat();
    for (bytes, why) in [
        (too_many, "more batches than it has credit for"),
        (frame(nobody, &[]), "to a worker that is not there"),
        (frame(stranger, &[]), "over a link that is not there"),
        (frame(to_own(Kind::Batch, 2), &[]), "over a link that is not there"),
        (frame(to_own(Kind::End, 2), &[]), "over a link that is not there"),
        (frame(to_own(Kind::Credit, 0), &1u32.to_le_bytes()), "credit for a link that is not there"),
        (frame(to_own(Kind::Credit, 0), &[1]), "credit of no number"),
        (twice, "over a link that it has ended"),
        (late, "over a link that it has ended"),
        (vec![0xff; 64], "it sends no frames"),
        (vec![1, 0, 0, 0, 9], "it sends a frame of no known kind"),
    ] {
        let lost = lost_after(&bytes);
        assert!(lost.contains(why), "{lost}, not {why}");
    }
    assert_eq!(lost_after(&[]), "it was closed");
}

#[test]
fn credit_that_was_not_taken_is_refused() {
    run(async {
        let mut side = side().await;
        let window = Arc::new(Window::new(REMOTE_WINDOW, || {}));
        side.connection.register(OWN, 5, Arc::clone(&window));
        assert!(window.try_take() && window.try_take());
        let credit = Header { kind: Kind::Credit, to: OWN, from: OTHER, link: 5 };
        side.other.write_all(&frame(credit, &3u32.to_le_bytes())).await.expect("it reads");
        let lost = (&mut side.lost).await.expect("it ends");
        assert!(lost.to_string().contains("more credit than was taken"), "{lost}");
        assert_eq!(window.free(), REMOTE_WINDOW);
    });
}

impl Side {
    /// Waits for the next batch.
    async fn hear(&mut self) -> (Bytes, Arc<Returns>) {
        loop {
            match self.heard.try_recv() {
                Ok(Message::Batch {
                    parcel: Parcel::Sealed(bytes),
                    credit: Credit::Remote(returns),
                    peer: false,
                    ..
                }) => {
                    return (bytes, returns);
                }
                Ok(_) => panic!("another message"),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

#[test]
fn batches_arrive_in_order_and_their_credit_goes_back() {
    run(async {
        let mut side = side().await;
        for round in 0..3 * REMOTE_WINDOW {
            side.other.write_all(&frame(to_own(Kind::Batch, 0), &[round as u8])).await.expect("it reads");
            let (bytes, returns) = side.hear().await;
            assert_eq!(bytes[..], [round as u8]);
            returns.give_back();
        }
        let back = Header { kind: Kind::Credit, to: OTHER, from: OWN, link: 0 };
        let expected = frame(back, &(GIVEN_BACK_AT as u32).to_le_bytes()).repeat(3 * REMOTE_WINDOW / GIVEN_BACK_AT);
        let mut sent = vec![0; expected.len()];
        side.other.read_exact(&mut sent).await.expect("it is sent");
        assert_eq!(sent, expected);
    });
}

/// Whoever goes on without taking the credit that it needs fills this side's memory with it.
#[test]
fn who_goes_on_without_its_credit_is_cut_off() {
    run(async {
        let mut side = side_that(false).await;
        let batch = frame(to_own(Kind::Batch, 0), &[]);
        for _ in 0..REMOTE_WINDOW + GIVEN_BACK_AT {
            side.other.write_all(&batch).await.expect("it reads");
            side.hear().await.1.give_back();
        }
        assert!(side.lost.try_recv().is_err(), "as far as anybody could have credit");
        side.other.write_all(&batch).await.expect("it reads");
        let lost = (&mut side.lost).await.expect("it ends");
        assert!(lost.to_string().contains("more batches than it has taken credit for"), "{lost}");
        let kept = (MOST_CREDITS + 1) * frame(to_own(Kind::Credit, 0), &[0; 4]).len();
        assert_eq!(locked(&side.connection.out).bytes.len(), kept);
    });
}

#[test]
fn a_batch_that_cannot_be_sent_says_so_and_leaves_nothing() {
    let connection = Connection::new("w2@there".to_owned());
    let header = Header { kind: Kind::Batch, to: OTHER, from: OWN, link: 0 };
    let mut batch = Messages(vec!["x".repeat(super::super::wire::MAX_FRAME)]);
    let error = connection.send_batch(header, &mut batch).expect_err("it is too long");
    assert!(error.to_string().starts_with("a batch of 671088"), "{error}");
    assert!(batch.0.is_empty() && locked(&connection.out).bytes.is_empty());
    connection.send_batch(header, &mut Messages(vec![1u64])).expect("it is short");
    assert!(!locked(&connection.out).bytes.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever comes, the connection ends, in order.
    #[test]
    fn noise_ends_a_connection(bytes in vec(any::<u8>(), 0..400)) {
        lost_after(&bytes);
    }
}
