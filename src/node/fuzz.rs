//! A way into what nodes tell each other for bytes of any kind; see [`crate::fuzz`].

use futures_util::FutureExt;
use tokio::io::AsyncWriteExt;

use super::control::{ToMaster, ToWorker};
use crate::codec::Record;
use crate::net::{HEARTBEAT, channel};

/// A worker and a master hear anything from a peer that has proved to know the cookie.
///
/// # Panics
/// When the channel does not end with the bytes.
pub fn control(bytes: &[u8]) {
    hear::<ToMaster, ToWorker>(bytes);
    hear::<ToWorker, ToMaster>(bytes);
}

fn hear<Out: Record, In: Record>(bytes: &[u8]) {
    let (here, mut there) = tokio::io::duplex(bytes.len() + 1);
    let sent = there.write_all(bytes).now_or_never();
    assert!(matches!(sent, Some(Ok(()))), "there is room for them");
    drop(there);
    let (_sender, mut receiver, _courier) = channel::<Out, In>(Box::new(here), HEARTBEAT);
    // Each frame has five bytes at least, and a read of nothing is the end.
    for _ in 0..=bytes.len() + 1 {
        match receiver.recv().now_or_never() {
            Some(Ok(Some(_))) => {}
            Some(Ok(None) | Err(_)) => return,
            None => break,
        }
    }
    assert!(bytes.len() > usize::MAX / 2, "it waits for more than there is");
}

/// What a master tells a node of a deployment, as it travels.
#[cfg(test)]
pub fn blueprint(node: crate::id::NodeId) -> Vec<u8> {
    let workers = std::collections::BTreeMap::new();
    let blueprint = super::control::Blueprint {
        keeping: None,
        on_error: crate::runtime::OnError::Fail,
        deployment: crate::id::DeploymentId(1),
        known_as: crate::id::DeploymentId(1),
        region: std::collections::BTreeSet::new(),
        name: "hello".to_owned(),
        arguments: vec!["--to".to_owned(), "5".to_owned()],
        fingerprint: 7,
        vertices: vec!["`words` (split, chained)".to_owned()],
        node,
        workers,
        nodes: Vec::new(),
    };
    let mut bytes = Vec::new();
    let written = crate::codec::encode(&ToWorker::Prepare(Box::new(blueprint)), &mut bytes);
    assert!(written.is_ok(), "it is short");
    bytes
}
