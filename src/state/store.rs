//! Objects by their paths, in a directory or in a cloud: what the state of workflows is kept in.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::time::{sleep, timeout};

use super::location::{Location, absolute_url, locate};

/// How often something is tried that fails in a way that may pass.
const ATTEMPTS: u32 = 4;
/// How long is waited before the second attempt; four times as long before each further one, so 2 s in all.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long an attempt may take, beside what its bytes take. A disk that is busy with what others write takes seconds.
const TIME_OUT: Duration = Duration::from_secs(30);
/// Bytes a second that a store should take or give at least: a tenth of a slow disk.
const SLOWEST: u64 = 4 * 1024 * 1024;

/// Why a store did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It is not there.
    #[error("there is no `{0}` in the store")]
    Missing(String),
    /// The store is of a kind that this program was built without.
    #[error("this program cannot use a store at {scheme}://: build it with the feature `{feature}` of Skitter")]
    Feature {
        /// How the kind is written.
        scheme: String,
        /// The feature of Skitter's package.
        feature: &'static str,
    },
    /// What is said of the place is wrong.
    #[error("`{url}` is unusable as a store: {why}")]
    Unusable {
        /// What is said.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No path of an object.
    #[error("`{}` is no path of an object", .0.escape_debug())]
    Path(String),
    /// An object that is larger than it can be.
    #[error("`{path}` has {bytes} bytes, and can have {most} at most")]
    TooLong {
        /// The path.
        path: String,
        /// How many bytes it has.
        bytes: u64,
        /// How many it can have.
        most: u64,
    },
    /// The store does not answer.
    #[error("`{path}` could not be {doing} within {} s", limit.as_secs())]
    TimedOut {
        /// What was to be done.
        doing: &'static str,
        /// The path.
        path: String,
        /// How long an attempt could take.
        limit: Duration,
    },
    /// The store refuses, or fails.
    #[error("`{path}` could not be {doing}: {source}")]
    Failed {
        /// What was to be done.
        doing: &'static str,
        /// The path.
        path: String,
        /// Why it was not.
        source: object_store::Error,
    },
    /// The directory of the store cannot be made, or looked at.
    #[error("the directory `{}` of the store: {source}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
}

/// A place for objects. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Store {
    url: Arc<str>,
    /// What stands before each path.
    prefix: Path,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Objects(Arc<dyn ObjectStore>),
    /// It is opened when it is there: who only looks does not make it.
    Directory {
        path: Arc<FilePath>,
        opened: Arc<OnceLock<Arc<dyn ObjectStore>>>,
    },
}

/// What is done to an object, and with how many bytes.
#[derive(Clone, Copy)]
struct Doing<'a> {
    what: &'static str,
    path: &'a str,
    bytes: u64,
}

impl Store {
    /// The store at a plain path, `file:///PATH`, `s3://BUCKET/PREFIX`, `gs://…`, `az://…`; or `memory://NAME`, which
    /// is the same each time that it is opened in a process. It looks at nothing yet: a directory is made when
    /// something is put into it. For clouds the environment says who asks, in the variables of their own tools.
    ///
    /// # Errors
    /// When this is no place, or one that this program was built without.
    pub fn open(url: &str) -> Result<Store, StoreError> {
        let (prefix, place) = match locate(url)? {
            Location::Directory(path) => (Path::ROOT, Place::Directory { path: path.into(), opened: Arc::default() }),
            Location::Objects(objects, prefix) => {
                let wrong = |error: object_store::path::Error| error.to_string();
                let prefix = Path::parse(prefix).map_err(wrong);
                let prefix = prefix.map_err(|why| StoreError::Unusable { url: url.to_owned(), why })?;
                (prefix, Place::Objects(objects))
            }
        };
        Ok(Store { url: absolute_url(url)?.into(), prefix, place })
    }

    /// Whether it is a directory of this host, which others may not see.
    pub fn is_directory(&self) -> bool {
        matches!(self.place, Place::Directory { .. })
    }

    /// What opens the same store from every directory: an absolute path, or a URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts an object there, in place of one that may be there. It appears whole or not at all; when this returns, it
    /// is there to stay. A cloud takes up to 5 GiB.
    ///
    /// # Errors
    /// When the store fails. The object may be there all the same.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put_pieces(path, vec![bytes]).await
    }

    /// As [`put`](Store::put), with the bytes in pieces, which are not joined before.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub async fn put_pieces(&self, path: &str, pieces: Vec<Bytes>) -> Result<(), StoreError> {
        self.write(path, pieces.into_iter().collect(), PutMode::Overwrite).await.map(drop)
    }

    /// Puts an object there unless there is one, of which it tells. Of several who do so at once, one gets true.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub async fn put_new(&self, path: &str, bytes: Bytes) -> Result<bool, StoreError> {
        self.write(path, bytes.into(), PutMode::Create).await
    }

    async fn write(&self, path: &str, payload: PutPayload, mode: PutMode) -> Result<bool, StoreError> {
        let full = self.full(path)?;
        let doing = Doing { what: "written", path, bytes: payload.content_length() as u64 };
        let Some(objects) = self.objects(true, doing).await? else { return Err(StoreError::Missing(path.to_owned())) };
        let mut tried = 0;
        let put = doing.patiently(|| {
            tried += 1;
            objects.put_opts(&full, payload.clone(), mode.clone().into())
        });
        match put.await {
            Ok(_) => Ok(true),
            // An attempt that seemed to fail may have done it.
            Err(StoreError::Failed { source: object_store::Error::AlreadyExists { .. }, .. }) => {
                Ok(tried > 1
                    && self.read(path, None, doing.bytes).await.is_ok_and(|there| there == Bytes::from(payload)))
            }
            Err(error) => Err(error),
        }
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none; when the store fails.
    pub async fn get(&self, path: &str) -> Result<Bytes, StoreError> {
        self.read(path, None, u64::MAX).await
    }

    /// The bytes of an object that has so many at most.
    ///
    /// # Errors
    /// As [`get`](Store::get); and when it has more, of which none is read.
    pub async fn get_at_most(&self, path: &str, most: u64) -> Result<Bytes, StoreError> {
        self.read(path, None, most).await
    }

    /// A part of the bytes of an object, which has as many.
    ///
    /// # Errors
    /// As [`get`](Store::get); and when the object ends before the range does, after further attempts, as not all
    /// stores tell that from a failure that passes.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = range.end - range.start;
        let bytes = self.read(path, Some(GetRange::Bounded(range)), wanted).await?;
        if bytes.len() as u64 == wanted {
            return Ok(bytes);
        }
        let why = format!("it ends {} bytes too early", wanted.saturating_sub(bytes.len() as u64));
        let source = object_store::Error::Generic { store: "object", source: why.into() };
        Err(StoreError::Failed { doing: "read", path: path.to_owned(), source })
    }

    async fn read(&self, path: &str, range: Option<GetRange>, most: u64) -> Result<Bytes, StoreError> {
        let full = self.full(path)?;
        let missing = || StoreError::Missing(path.to_owned());
        let opening = Doing { what: "read", path, bytes: 0 };
        let objects = self.objects(false, opening).await?.ok_or_else(missing)?;
        for last in (0..ATTEMPTS).map(|attempt| attempt + 1 == ATTEMPTS) {
            let options = || GetOptions { range: range.clone(), ..GetOptions::default() };
            let found = opening.patiently(|| objects.get_opts(&full, options())).await?;
            let bytes = found.range.end.saturating_sub(found.range.start);
            if bytes > most {
                return Err(StoreError::TooLong { path: path.to_owned(), bytes, most });
            }
            match (Doing { bytes, ..opening }).once(found.bytes()).await {
                Err(error) if error.may_pass() && !last => {}
                done => return done,
            }
        }
        Err(missing())
    }

    /// The paths of all objects below a directory, in order, and how many bytes they have. The empty text means all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let full = if prefix.is_empty() { self.prefix.clone() } else { self.full(prefix)? };
        let doing = Doing { what: "listed", path: prefix, bytes: 0 };
        let Some(objects) = self.objects(false, doing).await? else { return Ok(Vec::new()) };
        let list = || objects.list(Some(&full)).try_collect::<Vec<_>>();
        let found = match doing.patiently(list).await {
            Err(StoreError::Missing(_)) => Vec::new(),
            found => found?,
        };
        let own = |path: &Path| {
            let path = path.as_ref();
            if self.prefix.is_root() {
                return Some(path.to_owned());
            }
            path.strip_prefix(self.prefix.as_ref())?.strip_prefix('/').map(str::to_owned)
        };
        let mut list: Vec<_> = found.iter().filter_map(|object| Some((own(&object.location)?, object.size))).collect();
        list.sort_unstable();
        Ok(list)
    }

    /// Deletes an object; it need not be there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        let full = self.full(path)?;
        let doing = Doing { what: "deleted", path, bytes: 0 };
        let Some(objects) = self.objects(false, doing).await? else { return Ok(()) };
        match doing.patiently(|| objects.delete(&full)).await {
            Err(StoreError::Missing(_)) => Ok(()),
            deleted => deleted,
        }
    }

    /// The path as the store knows it.
    fn full(&self, path: &str) -> Result<Path, StoreError> {
        let wrong = || StoreError::Path(path.to_owned());
        // It takes a slash away at either end.
        let parsed = Path::parse(path).ok().filter(|parsed| !path.is_empty() && parsed.as_ref() == path);
        let parsed = parsed.ok_or_else(wrong)?;
        Ok(self.prefix.parts().chain(parsed.parts()).collect())
    }

    /// What holds the objects. None if it is a directory that is not there, and is not to be made.
    async fn objects(&self, make: bool, doing: Doing<'_>) -> Result<Option<Arc<dyn ObjectStore>>, StoreError> {
        let (path, opened) = match &self.place {
            Place::Objects(objects) => return Ok(Some(Arc::clone(objects))),
            Place::Directory { path, opened } => (path, opened),
        };
        if let Some(objects) = opened.get() {
            return Ok(Some(Arc::clone(objects)));
        }
        let directory = Arc::clone(path);
        #[expect(clippy::disallowed_methods, reason = "a call of the file system, waited for here")]
        let work = tokio::task::spawn_blocking(move || open_directory(&directory, make));
        let late = |_| StoreError::TimedOut { doing: doing.what, path: doing.path.to_owned(), limit: TIME_OUT };
        let found = timeout(TIME_OUT, work).await.map_err(late)?.unwrap_or_else(|error| Err(io::Error::other(error)));
        let found = found.map_err(|source| StoreError::Directory { path: path.to_path_buf(), source })?;
        Ok(found.map(|found| Arc::clone(opened.get_or_init(|| Arc::new(found)))))
    }
}

fn open_directory(path: &FilePath, make: bool) -> io::Result<Option<LocalFileSystem>> {
    if make {
        make_durable(path)?;
    }
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return Err(ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let opened = LocalFileSystem::new_with_prefix(path).map_err(io::Error::other)?;
    Ok(Some(opened.with_fsync(true).with_automatic_cleanup(true)))
}

/// Makes a directory and those that it is in, for the user alone, as state may hold what is not for everybody; and sees
/// to it that they outlive a loss of power.
fn make_durable(path: &FilePath) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let Some(parent) = path.parent() else { return Ok(()) };
    make_durable(parent)?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

impl Doing<'_> {
    /// Does it, in time, and several times if it fails in a way that may pass.
    async fn patiently<T, W>(self, mut work: impl FnMut() -> W) -> Result<T, StoreError>
    where
        W: Future<Output = object_store::Result<T>>,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.once(work()).await {
                Err(error) if error.may_pass() => sleep(pause).await,
                done => return done,
            }
            pause *= 4;
        }
        self.once(work()).await
    }

    async fn once<T>(self, work: impl Future<Output = object_store::Result<T>>) -> Result<T, StoreError> {
        let Doing { what: doing, path, bytes } = self;
        let limit = TIME_OUT + Duration::from_secs(bytes / SLOWEST);
        match timeout(limit, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(object_store::Error::NotFound { .. })) => Err(StoreError::Missing(path.to_owned())),
            Ok(Err(source)) => Err(StoreError::Failed { doing, path: path.to_owned(), source }),
            Err(_) => Err(StoreError::TimedOut { doing, path: path.to_owned(), limit }),
        }
    }
}

impl StoreError {
    /// Whether another attempt may succeed.
    fn may_pass(&self) -> bool {
        match self {
            StoreError::TimedOut { .. } => true,
            StoreError::Failed { source: source @ object_store::Error::Generic { .. }, .. } => !is_final(source),
            StoreError::Failed { source, .. } => matches!(source, object_store::Error::JoinError { .. }),
            _ => false,
        }
    }
}

/// Whether the system has said what does not change by itself.
fn is_final(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::FileTooLarge
                    | ErrorKind::NotADirectory
                    | ErrorKind::IsADirectory
                    | ErrorKind::InvalidFilename
                    | ErrorKind::InvalidInput
                    | ErrorKind::Unsupported
            );
        }
        cause = error.source();
    }
    false
}

/// How long the largest object that a cloud takes, 5 GiB, may take.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub(super) const LONGEST: Duration = Duration::from_secs(TIME_OUT.as_secs() + 5 * 1024 * 1024 * 1024 / SLOWEST);

/// What a client of a cloud tries by itself, within one of the attempts here: it knows which answers may pass.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub(super) fn cloud_retries() -> object_store::RetryConfig {
    object_store::RetryConfig { max_retries: ATTEMPTS as usize, retry_timeout: TIME_OUT, ..Default::default() }
}

#[cfg(test)]
mod tests;
