//! Tests of channels.

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;

use super::*;

/// A channel and the raw other end of its connection.
fn raw<Out: Record, In: Record>(room: usize) -> (Sender<Out>, Receiver<In>, Courier, DuplexStream) {
    let (here, there) = duplex(room);
    let (sender, receiver, courier) = channel(Box::new(here), HEARTBEAT);
    (sender, receiver, courier, there)
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_a_channel_are_pinned() {
    let (sender, _receiver, courier, mut there) = raw::<(u16, String), ()>(1000);
    let sends = async {
        sender.send(&(300, "hi".to_owned())).await.expect("room");
        sender.try_send(&(1, String::new())).expect("room");
        tokio::time::sleep(HEARTBEAT + HEARTBEAT / 2).await;
        drop(sender);
    };
    let (ran, ()) = tokio::join!(courier.run(), sends);
    ran.expect("a peer");
    let mut bytes = Vec::new();
    there.read_to_end(&mut bytes).await.expect("all of it");
    let expected = b"\0\0\0\x06\x01\xac\x02\x02hi\0\0\0\x03\x01\x01\0\0\0\0\x01\0";
    assert_eq!(bytes, expected);
}

#[tokio::test(start_paused = true)]
async fn who_has_nothing_to_say_shows_that_it_lives() {
    let (here, there) = duplex(1000);
    let (_sender, _, courier) = channel::<u8, u8>(Box::new(here), HEARTBEAT);
    let (_, mut receiver, _) = channel::<u8, u8>(Box::new(there), HEARTBEAT);
    let start = Instant::now();
    let hears = async {
        for beat in 1..10 {
            assert_eq!(receiver.recv().await.expect("a peer"), Some(Frame::Heartbeat));
            assert_eq!(start.elapsed(), HEARTBEAT * beat);
        }
    };
    tokio::select! {
        biased;
        ended = courier.run() => panic!("{ended:?}"),
        () = hears => {}
    }
}

#[tokio::test(start_paused = true)]
async fn who_hears_the_other_one_answers_at_once() {
    let (here, there) = duplex(1000);
    let (_here, mut one, leads) = channel::<u8, u8>(Box::new(here), HEARTBEAT);
    let (_there, mut other, follows) = channel::<u8, u8>(Box::new(there), HEARTBEAT);
    let start = Instant::now();
    let hears = async {
        for beat in 1..10 {
            assert_eq!(other.recv().await.expect("a peer"), Some(Frame::Heartbeat));
            assert_eq!(start.elapsed(), HEARTBEAT * beat, "by the clock of one of them");
            assert_eq!(one.recv().await.expect("a peer"), Some(Frame::Heartbeat));
            assert_eq!(start.elapsed(), HEARTBEAT * beat, "in answer");
        }
    };
    let follows = async {
        tokio::time::sleep(HEARTBEAT / 5).await;
        follows.run().await
    };
    tokio::select! {
        biased;
        () = hears => {}
        ended = leads.run() => panic!("{ended:?}"),
        ended = follows => panic!("{ended:?}"),
    }
}

#[tokio::test]
async fn messages_of_any_size_arrive_in_order() {
    let (here, there) = duplex(10_000);
    let (sender, _, courier) = channel::<(u32, String), u8>(Box::new(here), HEARTBEAT);
    let (_, mut receiver, _) = channel::<u8, (u32, String)>(Box::new(there), HEARTBEAT);
    let size = |number: u32| if number == 50 { MAX_MESSAGE - 100 } else { (number * number * 7 % 9999) as usize };
    let sends = async {
        for number in 0..100 {
            sender.send(&(number, "x".repeat(size(number)))).await.expect("a peer");
        }
        drop(sender);
    };
    let receives = async {
        let mut next = 0;
        while let Some(frame) = receiver.recv().await.expect("a peer") {
            if let Frame::Message((number, text)) = frame {
                assert_eq!((number, text.len()), (next, size(next)));
                next += 1;
            }
        }
        next
    };
    let (ran, (), received) = tokio::join!(courier.run(), sends, receives);
    ran.expect("a peer");
    assert_eq!(received, 100);
    assert!(matches!(receiver.recv().await, Ok(None)), "what has ended stays so");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_interrupted_loses_nothing() {
    let (_sender, mut receiver, _courier, mut there) = raw::<u8, Vec<u8>>(3);
    let writes = async {
        for byte in b"\0\0\0\x05\x01\x03abc\0\0\0\x01\0" {
            there.write_all(&[*byte]).await.expect("a peer");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        there
    };
    let reads = async {
        let mut heard = Vec::new();
        for _ in 0..200 {
            if let Ok(frame) = timeout(Duration::from_millis(7), receiver.recv()).await {
                heard.push(frame.expect("a peer").expect("more"));
            }
        }
        heard
    };
    let (_there, heard) = tokio::join!(writes, reads);
    let messages: Vec<_> = heard.iter().filter(|frame| **frame != Frame::Heartbeat).collect();
    assert_eq!(messages, [&Frame::Message(b"abc".to_vec())]);
    assert!(heard.len() >= 10, "each part shows that the peer lives: {heard:?}");
}

/// What a receiver says in the end of these bytes.
async fn said(bytes: &[u8]) -> Result<Option<Frame<(u8, String)>>, ChannelError> {
    let (_sender, mut receiver, _courier, mut there) = raw::<u8, (u8, String)>(1 << 20);
    there.write_all(bytes).await.expect("room");
    drop(there);
    loop {
        match receiver.recv().await {
            Ok(Some(Frame::Heartbeat)) => {}
            other => {
                if other.is_err() {
                    assert!(matches!(receiver.recv().await, Ok(None)), "an error is the end");
                }
                return other;
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_message_ends_the_channel() {
    assert!(matches!(said(b"\0\0\0\x05\x01\x07\x02hi").await, Ok(Some(Frame::Message((7, _))))));
    assert!(matches!(said(b"").await, Ok(None)));
    assert!(matches!(said(b"\0\0\0\x05\x01\x07").await, Err(ChannelError::CutOff)));
    assert!(matches!(said(b"\0\0").await, Err(ChannelError::CutOff)));
    assert!(matches!(said(b"\0\0\0\0").await, Err(ChannelError::Unknown)));
    assert!(matches!(said(b"\0\0\0\x01\x02").await, Err(ChannelError::Unknown)));
    assert!(matches!(said(b"\0\0\0\x02\0\0").await, Err(ChannelError::Unknown)));
    assert!(matches!(said(b"\0\0\0\x06\x01\x07\x02hi\0").await, Err(ChannelError::Unfit(ValueError::Trailing(1)))));
    assert!(matches!(said(b"\0\0\0\x03\x01\x07\x02").await, Err(ChannelError::Unfit(ValueError::Read { .. }))));
    // Lengths of 4 GB, of a byte too much, and of letters that somebody else has sent.
    for claim in [*b"\xff\xff\xff\xff", (16 * 1024 * 1024 + 2u32).to_be_bytes(), *b"HTTP"] {
        assert!(matches!(said(&claim).await, Err(ChannelError::TooLong)));
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_not_sent() {
    let (sender, _receiver, _courier, _there) = raw::<String, u8>(10);
    assert!(matches!(sender.send(&"x".repeat(MAX_MESSAGE)).await, Err(ChannelError::TooLong)));
    assert!(matches!(sender.try_send(&"x".repeat(MAX_MESSAGE)), Err(ChannelError::TooLong)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_ends_the_channel() {
    let (sender, mut receiver, courier, _there) = raw::<String, u8>(1000);
    let start = Instant::now();
    let sends = async {
        let mut sent = 0;
        while sender.send(&"x".repeat(1 << 20)).await.is_ok() {
            sent += 1;
        }
        sent
    };
    let (ended, sent) = tokio::join!(courier.run(), sends);
    assert!(matches!(ended, Err(ChannelError::Stalled)));
    assert_eq!(start.elapsed(), STALL_TIMEOUT);
    assert!(sent < 40, "{sent} MiB waited to be sent");
    sender.ended().await;
    assert!(matches!(sender.try_send(&String::new()), Err(ChannelError::Ended)));
    assert!(matches!(sender.send(&String::new()).await, Err(ChannelError::Ended)));
    assert!(timeout(STALL_TIMEOUT, receiver.recv()).await.is_err(), "the other direction is another matter");
}

#[tokio::test]
async fn the_queue_has_bounds() {
    let (sender, _receiver, courier, there) = raw::<String, u8>(10);
    let big = "x".repeat(MAX_MESSAGE - 10);
    assert!(sender.try_send(&big).is_ok() && sender.try_send(&big).is_ok());
    assert!(matches!(sender.try_send(&big), Err(ChannelError::Full)));
    drop(courier);
    assert!(matches!(sender.try_send(&big), Err(ChannelError::Ended)));
    drop(there);

    let (sender, _receiver, _courier, _there) = raw::<(), u8>(10);
    let sent = (0..2 * MAX_QUEUED).take_while(|_| sender.clone().try_send(&()).is_ok()).count();
    assert_eq!(sent, MAX_QUEUED);
    assert!(matches!(sender.try_send(&()), Err(ChannelError::Full)));
}

#[tokio::test]
async fn a_connection_that_is_lost_ends_both_directions() {
    let (sender, mut receiver, courier, there) = raw::<u8, u8>(10);
    drop(there);
    sender.send(&1).await.expect("it does not know yet");
    assert!(matches!(courier.run().await, Err(ChannelError::Lost(_))));
    assert!(matches!(sender.send(&1).await, Err(ChannelError::Ended)));
    assert!(matches!(receiver.recv().await, Ok(None)));
}

proptest! {
    #[test]
    fn noise_is_never_trusted(
        noise in vec(prop_oneof![3 => 0..3u8, 1 => any::<u8>()], 0..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (_sender, mut receiver, _courier, mut there) = raw::<u8, Vec<Option<String>>>(1000);
            there.write_all(&noise).await.expect("room");
            drop(there);
            while let Ok(Some(_)) = receiver.recv().await {}
        });
    }
}
