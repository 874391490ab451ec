//! What a master finds that goes on.

use super::*;

const MASTER: &str = "m@m";

fn store(name: &str) -> Store {
    Store::open(&format!("memory://journal-{name}")).expect("a store")
}

fn entry(name: &str) -> Entry {
    let (name, run) = (name.to_owned(), format!("run of {name}"));
    Entry { name, arguments: Vec::new(), run, before: Vec::new(), from: None, drop_unfit: false, ended: false }
}

fn noted() -> (watch::Sender<bool>, watch::Receiver<bool>) {
    watch::channel(false)
}

#[tokio::test]
async fn who_is_noted_is_there_when_the_master_dies() {
    let (store, (sender, mut receiver)) = (store("noted"), noted());
    let mut journal = Journal::begin(store.clone(), MASTER);
    journal.add(DeploymentId(1), entry("first"), sender);
    receiver.wait_for(|noted| *noted).await.expect("it is noted");
    drop(journal);
    assert_eq!(read(&store, MASTER).await, Ok(vec![entry("first")]));
}

/// Its checkpoints may be gone: who went on with it would begin anew.
#[tokio::test]
async fn what_has_ended_is_known_as_such_until_its_master_ends() {
    let (store, (sender, mut receiver)) = (store("ended"), noted());
    let mut journal = Journal::begin(store.clone(), MASTER);
    for (number, name) in [(1, "first"), (2, "second"), (3, "third")] {
        journal.add(DeploymentId(number), entry(name), sender.clone());
    }
    journal.remove(DeploymentId(1), false);
    journal.remove(DeploymentId(3), true);
    receiver.wait_for(|noted| *noted).await.expect("it is noted");
    journal.close().await;
    let ended = Entry { ended: true, ..entry("first") };
    assert_eq!(read(&store, MASTER).await, Ok(vec![ended.clone(), entry("second")]));

    let mut journal = Journal::begin(store.clone(), MASTER);
    journal.is_over(ended);
    journal.add(DeploymentId(1), entry("second"), sender);
    journal.remove(DeploymentId(1), false);
    journal.close().await;
    assert_eq!(read(&store, MASTER).await, Ok(Vec::new()));
}

#[tokio::test]
async fn what_an_older_master_has_written_can_be_read() {
    let store = store("older");
    let page = br#"{"deployments":[{"name":"first","arguments":[],"run":"run of first","before":["one"]}]}"#;
    store.put(&path(MASTER), page.to_vec().into()).await.expect("it is put");
    let before = vec!["one".to_owned()];
    assert_eq!(read(&store, MASTER).await, Ok(vec![Entry { before, ..entry("first") }]));
}
