//! A store of checkpoints that is slow at times, and fails at times.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::stream::{BoxStream, once};
use futures_util::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::time::sleep;

use super::dice::Dice;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What is wrong with it now.
#[derive(Debug)]
struct Trouble {
    dice: Dice,
    /// How long each operation takes at most.
    slow: Duration,
    /// Whether writing fails, and whether that may pass.
    fails: Option<Failing>,
    /// Manifests that were put there.
    manifests: u64,
    /// Operations that failed.
    failed: u64,
}

/// How writing fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// As a network does: it may have been done all the same.
    Lost,
    /// There is no room.
    Full,
}

/// The store. Clones are the same.
#[derive(Clone, Debug)]
pub struct Disk {
    objects: Arc<InMemory>,
    trouble: Arc<Mutex<Trouble>>,
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    pub fn new(dice: Dice) -> Disk {
        let trouble = Trouble { dice, slow: Duration::from_millis(3), fails: None, manifests: 0, failed: 0 };
        Disk { objects: Arc::new(InMemory::new()), trouble: Arc::new(Mutex::new(trouble)) }
    }

    fn lock(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().expect("no panic")
    }

    /// Each operation takes so long at most, from now on.
    pub fn takes(&self, most: Duration) {
        self.lock().slow = most;
    }

    /// Writing fails from now on; or does not any more.
    pub fn fails(&self, fails: Option<Failing>) {
        self.lock().fails = fails;
    }

    /// Whether it fails now.
    pub fn is_failing(&self) -> bool {
        self.lock().fails.is_some()
    }

    /// Manifests that were put there, ever.
    pub fn manifests(&self) -> u64 {
        self.lock().manifests
    }

    /// The paths of what is there.
    pub fn paths(&self) -> Vec<String> {
        let all = self.objects.list(None).map(|object| object.map(|object| object.location.to_string()));
        let all: Vec<_> = all.collect().now_or_never().expect("it is in memory");
        all.into_iter().filter_map(Result::ok).collect()
    }

    /// Takes its time; says what is wrong with the operation.
    async fn work(&self) -> Option<Failing> {
        let (time, fails) = {
            let mut trouble = self.lock();
            let most = trouble.slow.as_millis() as u64;
            (trouble.dice.within(0..=most), trouble.fails)
        };
        if time > 0 {
            sleep(Duration::from_millis(time)).await;
        }
        fails
    }

    fn failure(&self, failing: Failing) -> Error {
        self.lock().failed += 1;
        let source = match failing {
            Failing::Lost => std::io::Error::from(std::io::ErrorKind::ConnectionReset),
            Failing::Full => std::io::Error::from(std::io::ErrorKind::StorageFull),
        };
        Error::Generic { store: "disk", source: Box::new(source) }
    }
}

impl ObjectStore for Disk {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            let failing = self.work().await;
            let is_done = match failing {
                None => true,
                Some(Failing::Full) => false,
                Some(Failing::Lost) => self.lock().dice.once_in(2),
            };
            if is_done {
                let put = self.objects.put_opts(location, payload, opts).await?;
                self.lock().manifests += u64::from(location.as_ref().contains("/manifests/"));
                if failing.is_none() {
                    return Ok(put);
                }
            }
            Err(self.failure(failing.unwrap_or(Failing::Lost)))
        })
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        opts: PutMultipartOptions,
    ) -> BoxFuture<'c, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
    {
        self.objects.put_multipart_opts(location, opts)
    }

    fn get_opts<'a, 'b, 'c>(&'a self, location: &'b Path, options: GetOptions) -> BoxFuture<'c, Result<GetResult>>
    where
        'a: 'c,
        'b: 'c,
    {
        Box::pin(async move {
            match self.work().await {
                Some(Failing::Lost) => Err(self.failure(Failing::Lost)),
                _ => self.objects.get_opts(location, options).await,
            }
        })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let disk = self.clone();
        locations
            .then(move |location| {
                let disk = disk.clone();
                async move {
                    if disk.work().await == Some(Failing::Lost) {
                        return Err(disk.failure(Failing::Lost));
                    }
                    let location = location?;
                    disk.objects
                        .delete_stream(once(async move { Ok(location) }).boxed())
                        .next()
                        .await
                        .expect("one answer")
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (disk, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            if disk.work().await == Some(Failing::Lost) {
                return once(std::future::ready(Err(disk.failure(Failing::Lost)))).boxed();
            }
            disk.objects.list(prefix.as_ref())
        };
        once(listed).flatten().boxed()
    }

    fn list_with_delimiter<'a, 'b, 'c>(&'a self, prefix: Option<&'b Path>) -> BoxFuture<'c, Result<ListResult>>
    where
        'a: 'c,
        'b: 'c,
    {
        self.objects.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 'd>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> BoxFuture<'d, Result<()>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
    {
        self.objects.copy_opts(from, to, options)
    }
}
