//! Tests of stores: in memory, in a directory, and one that fails.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::stream::Stream;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use object_store::{
    CopyOptions, Error, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutOptions, PutResult,
    Result as Done,
};

use super::*;

fn store(objects: impl ObjectStore) -> Store {
    Store { url: "test".into(), prefix: Path::ROOT, place: Place::Objects(Arc::new(objects)) }
}

async fn does_what_it_should(store: &Store) {
    assert_eq!(store.list("").await.expect("a list"), []);
    assert!(matches!(store.get("a/b").await, Err(StoreError::Missing(path)) if path == "a/b"));
    assert!(matches!(store.get_range("a/b", 0..1).await, Err(StoreError::Missing(_))));
    store.delete("a/b").await.expect("it need not be there");

    store.put("a/b", "old".into()).await.expect("written");
    store.put("a/b", "0123456789".into()).await.expect("written");
    store.put("a%20/c d", "".into()).await.expect("written");
    store.put("ab", "x".into()).await.expect("written");
    assert_eq!(store.get("a/b").await.expect("bytes"), "0123456789");
    assert_eq!(store.get("a%20/c d").await.expect("bytes"), "");
    assert_eq!(store.get_range("a/b", 2..5).await.expect("bytes"), "234");
    assert_eq!(store.get_range("a/b", 10..10).await.expect("bytes"), "");
    assert!(store.get_range("a/b", 8..11).await.is_err(), "it ends before");
    assert!(store.get_range("a/b", 20..21).await.is_err(), "it ends before");
    assert_eq!(store.get_at_most("a/b", 10).await.expect("bytes"), "0123456789");
    assert!(matches!(store.get_at_most("a/b", 9).await, Err(StoreError::TooLong { bytes: 10, most: 9, .. })));

    assert!(!store.put_new("a/b", "new".into()).await.expect("it is there"));
    assert!(store.put_new("a/n/e/w", "new".into()).await.expect("it is new"));
    assert!(!store.put_new("a/n/e/w", "new".into()).await.expect("it is there"));
    assert_eq!(store.get("a/b").await.expect("bytes"), "0123456789");

    let text = |list: Vec<(String, u64)>| list.iter().map(|(path, size)| format!("{path}:{size}")).collect::<Vec<_>>();
    let list = text(store.list("").await.expect("a list"));
    assert_eq!(list, ["a%20/c d:0", "a/b:10", "a/n/e/w:3", "ab:1"]);
    assert_eq!(text(store.list("a").await.expect("a list")), ["a/b:10", "a/n/e/w:3"], "and not what begins so");
    assert_eq!(text(store.list("a/x").await.expect("a list")), [""; 0]);

    store.delete("a/n/e/w").await.expect("deleted");
    assert!(matches!(store.get("a/n/e/w").await, Err(StoreError::Missing(_))));
    for path in ["", "/a", "a/", "a//b", "a/../b", "..", ".", "a/./b", "a\0b", "a\nb"] {
        let refused = |done: Result<(), StoreError>| matches!(done, Err(StoreError::Path(_)));
        assert!(refused(store.put(path, "x".into()).await), "{path:?}");
        assert!(refused(store.get(path).await.map(drop)), "{path:?}");
        assert!(refused(store.delete(path).await), "{path:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_a_store() {
    let first = Store::open("memory://memory_is_a_store").expect("a store");
    does_what_it_should(&first).await;
    let again = Store::open("memory://memory_is_a_store").expect("a store");
    assert_eq!(again.get("ab").await.expect("bytes"), "x", "it is the same");
    let other = Store::open("memory://another").expect("a store");
    assert_eq!(other.list("").await.expect("a list"), []);
}

#[tokio::test(start_paused = true)]
async fn a_directory_is_a_store() {
    let place = tempfile::tempdir().expect("a directory");
    let directory = place.path().join("not yet#1/ä%");
    let store = Store::open(directory.to_str().expect("UTF-8")).expect("a store");
    assert_eq!(store.list("").await.expect("a list"), []);
    assert!(!directory.exists(), "who looks makes nothing");
    does_what_it_should(&store).await;
    assert!(!directory.join("a/n").exists(), "what is empty is removed");
    assert_eq!(fs::read(directory.join("a/b")).expect("a file"), b"0123456789");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&directory).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o700, "for the user alone");
    let again = Store::open(store.url()).expect("a store");
    assert_eq!(again.get("ab").await.expect("bytes"), "x", "its address leads there");

    // What a process has left that was killed is nobody's object.
    fs::write(directory.join("a/b#1"), "half").expect("written");
    assert_eq!(store.list("a").await.expect("a list"), [("a/b".to_owned(), 10)]);
    store.put("a/b", "whole".into()).await.expect("written");
    fs::remove_dir_all(&directory).expect("removed");
    assert_eq!(store.list("").await.expect("a list"), []);
    store.put("a/b", "again".into()).await.expect("it is made again");
    assert_eq!(store.get("a/b").await.expect("bytes"), "again");
}

#[tokio::test(start_paused = true)]
async fn what_is_below_a_prefix_is_alone() {
    let all = InMemory::new();
    all.put(&Path::from("other/x"), "1".into()).await.expect("written");
    let store = Store { prefix: Path::from("mine/here"), ..store(all) };
    does_what_it_should(&store).await;
}

#[tokio::test]
async fn one_of_many_makes_it() {
    let place = tempfile::tempdir().expect("a directory");
    let store = Store::open(place.path().to_str().expect("UTF-8")).expect("a store");
    let many = (0..20).map(|n| store.put_new("a", format!("{n}").into()));
    let made = futures_util::future::try_join_all(many).await.expect("done");
    let first: Vec<_> = made.iter().enumerate().filter(|(_, made)| **made).map(|(n, _)| n.to_string()).collect();
    assert_eq!(first.len(), 1);
    assert_eq!(store.get("a").await.expect("bytes"), first[0]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_told_at_once() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file");
    fs::write(&file, "x").expect("written");
    let begun = tokio::time::Instant::now();
    let store = Store::open(file.to_str().expect("UTF-8")).expect("a store");
    for said in [
        store.put("a", "x".into()).await.expect_err("no directory").to_string(),
        store.list("").await.expect_err("no directory").to_string(),
    ] {
        assert!(said.contains("file` of the store: ") && said.contains("not a directory"), "{said}");
    }
    let store = Store::open(place.path().to_str().expect("UTF-8")).expect("a store");
    let said = store.put("file/a", "x".into()).await.expect_err("a file").to_string();
    assert!(said.starts_with("`file/a` could not be written: "), "{said}");
    assert_eq!(begun.elapsed(), Duration::ZERO, "without another attempt");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_given_up() {
    let hour = Duration::from_secs(3600);
    let slow = ThrottleConfig { wait_put_per_call: hour, wait_get_per_call: hour, ..ThrottleConfig::default() };
    let store = store(ThrottledStore::new(InMemory::new(), slow));
    let begun = tokio::time::Instant::now();
    let said = store.put("a", "x".into()).await.expect_err("too late").to_string();
    assert_eq!(said, "`a` could not be written within 30 s");
    let pauses = FIRST_PAUSE * (1 + 4 + 16);
    assert_eq!(begun.elapsed().as_secs(), (TIME_OUT * ATTEMPTS + pauses).as_secs());
    assert!(matches!(store.get("a").await, Err(StoreError::TimedOut { .. })));
}

/// A store in memory, of whose first answers some are lost: what was to be done is done, or not.
#[derive(Debug)]
struct Lossy {
    inner: InMemory,
    lost: AtomicU32,
    done: bool,
}

impl fmt::Display for Lossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lossy")
    }
}

type Later<'a, T> = Pin<Box<dyn Future<Output = Done<T>> + Send + 'a>>;

impl Lossy {
    fn new(lost: u32, done: bool) -> Lossy {
        Lossy { inner: InMemory::new(), lost: AtomicU32::new(lost), done }
    }

    async fn answer<T>(&self, work: impl Future<Output = Done<T>>) -> Done<T> {
        let lost = self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |lost| lost.checked_sub(1)).is_ok();
        let answer = if lost && !self.done { None } else { Some(work.await) };
        match answer.filter(|_| !lost) {
            Some(answer) => answer,
            None => Err(Error::Generic { store: "lossy", source: "connection reset".into() }),
        }
    }
}

impl ObjectStore for Lossy {
    fn put_opts<'a, 'b, 'c>(&'a self, path: &'b Path, bytes: PutPayload, how: PutOptions) -> Later<'c, PutResult>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(self.answer(self.inner.put_opts(path, bytes, how)))
    }

    fn get_opts<'a, 'b, 'c>(&'a self, path: &'b Path, how: GetOptions) -> Later<'c, GetResult>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(self.answer(self.inner.get_opts(path, how)))
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        path: &'b Path,
        how: PutMultipartOptions,
    ) -> Later<'c, Box<dyn MultipartUpload>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(self.inner.put_multipart_opts(path, how))
    }

    fn delete_stream(
        &self,
        paths: Pin<Box<dyn Stream<Item = Done<Path>> + Send>>,
    ) -> Pin<Box<dyn Stream<Item = Done<Path>> + Send>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> Pin<Box<dyn Stream<Item = Done<ObjectMeta>> + Send>> {
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'a, 'b, 'c>(&'a self, prefix: Option<&'b Path>) -> Later<'c, ListResult>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(self.inner.list_with_delimiter(prefix))
    }

    fn copy_opts<'a, 'b, 'd, 'c>(&'a self, from: &'b Path, to: &'d Path, how: CopyOptions) -> Later<'c, ()>
    where
        'a: 'c,
        'b: 'c,
        'd: 'c,
        Self: 'c,
    {
        Box::pin(self.inner.copy_opts(from, to, how))
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again() {
    for done in [false, true] {
        let flaky = store(Lossy::new(3, done));
        flaky.put("a", "x".into()).await.expect("the fourth time");
        assert_eq!(flaky.get("a").await.expect("bytes"), "x");
        let broken = store(Lossy::new(4, done));
        let said = broken.put("a", "x".into()).await.expect_err("four times").to_string();
        assert!(said.starts_with("`a` could not be written: ") && said.ends_with("connection reset"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn whose_answer_was_lost_has_made_it_all_the_same() {
    let flaky = store(Lossy::new(1, true));
    assert!(flaky.put_new("a", "mine".into()).await.expect("done"), "its own from before");
    assert!(!flaky.put_new("a", "mine".into()).await.expect("there"), "nothing was lost this time");

    let lossy = Lossy::new(0, true);
    lossy.inner.put(&Path::from("a"), "another's".into()).await.expect("written");
    lossy.lost.store(1, Ordering::SeqCst);
    assert!(!store(lossy).put_new("a", "mine".into()).await.expect("there"), "another one was first");
}
