//! Where a store is, as a user writes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::StoreError;

/// Stores in memory, by name. They are global, because opening one again in the same process is to find what is in it;
/// nothing but tests has use for them.
static IN_MEMORY: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>> = Mutex::new(BTreeMap::new());

/// Has a store in memory be another one from now on; or forgets it.
#[cfg(test)]
pub fn replace_in_memory(name: &str, objects: Option<Arc<dyn ObjectStore>>) {
    let mut all = IN_MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    match objects {
        Some(objects) => drop(all.insert(name.to_owned(), objects)),
        None => drop(all.remove(name)),
    }
}

/// Where objects are.
#[derive(Debug)]
pub enum Location {
    /// In a directory, which may not be there yet. The path is absolute.
    Directory(PathBuf),
    /// Behind an interface of the crate, below a prefix.
    Objects(Arc<dyn ObjectStore>, String),
}

/// What is meant by how a place is written.
enum Written<'a> {
    Directory(PathBuf),
    Memory(&'a str),
    Cloud { scheme: &'a str, feature: &'static str, bucket: &'a str, prefix: &'a str },
}

/// What opens the same store from every directory: an absolute path, or a URL. It looks at nothing but how the place is
/// written; that this program was built without it is told when it is opened.
///
/// # Errors
/// When it is no place.
pub fn absolute_url(url: &str) -> Result<String, StoreError> {
    let Written::Directory(path) = read(url)? else { return Ok(url.to_owned()) };
    let no_text = |_| StoreError::Unusable { url: url.to_owned(), why: "its path is not UTF-8".to_owned() };
    path.into_os_string().into_string().map_err(no_text)
}

/// Finds out what is meant, and looks at nothing there.
///
/// # Errors
/// When it is no place, or one that this program was built without.
pub fn locate(url: &str) -> Result<Location, StoreError> {
    match read(url)? {
        Written::Directory(path) => Ok(Location::Directory(path)),
        Written::Memory(name) => {
            let mut all = IN_MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
            let objects = Arc::clone(all.entry(name.to_owned()).or_insert_with(|| Arc::new(InMemory::new())));
            Ok(Location::Objects(objects, String::new()))
        }
        Written::Cloud { scheme, feature, bucket, prefix } => {
            let objects = cloud(feature, &format!("{scheme}://{bucket}"));
            let objects = objects.ok_or_else(|| StoreError::Feature { scheme: scheme.to_owned(), feature })?;
            let unusable =
                |error: object_store::Error| StoreError::Unusable { url: shown(url), why: error.to_string() };
            Ok(Location::Objects(objects.map_err(unusable)?, prefix.to_owned()))
        }
    }
}

fn read(url: &str) -> Result<Written<'_>, StoreError> {
    let unusable = |why: String| StoreError::Unusable { url: shown(url), why };
    let Some((scheme, rest)) = url.split_once("://") else {
        if url.is_empty() {
            return Err(unusable("it is empty".to_owned()));
        }
        return std::path::absolute(url).map(Written::Directory).map_err(|error| unusable(error.to_string()));
    };
    let feature = match scheme {
        "file" => return directory(rest).map(Written::Directory).map_err(unusable),
        "memory" => return Ok(Written::Memory(rest)),
        "s3" | "s3a" => "s3",
        "gs" => "gcs",
        "az" | "adl" | "azure" | "abfs" | "abfss" => "azure",
        _ => {
            let why = "it is neither a path nor begins with file://, s3://, gs:// or az://";
            return Err(unusable(why.to_owned()));
        }
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(unusable("it names no bucket".to_owned()));
    }
    if bucket.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return Err(unusable("it holds a secret, which belongs into the environment".to_owned()));
    }
    Ok(Written::Cloud { scheme, feature, bucket, prefix })
}

/// A URL without the password that may be in it.
fn shown(url: &str) -> String {
    let secret = |rest: &str| Some((rest.find(':')?, rest.split('/').next()?.rfind('@')?));
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest, secret(rest)?))) {
        Some((scheme, rest, (from, to))) if from < to => format!("{scheme}://{}:…{}", &rest[..from], &rest[to..]),
        _ => url.to_owned(),
    }
}

/// The path in a URL, behind `file://`.
fn directory(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("the directory of a file:// begins with a third slash: file:///PATH".to_owned());
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut parts = path.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let byte = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("`%{part}` is no encoded letter; a percent sign is %25"))?);
        bytes.extend_from_slice(part.as_bytes().get(2..).unwrap_or_default());
    }
    String::from_utf8(bytes).map(PathBuf::from).map_err(|_| "it is not UTF-8".to_owned())
}

/// The store of a cloud, with what the environment says of who asks; none if this program was built without.
#[cfg_attr(
    not(any(feature = "s3", feature = "gcs", feature = "azure")),
    expect(unused_variables, reason = "there is no cloud to look for")
)]
fn cloud(feature: &str, url: &str) -> Option<object_store::Result<Arc<dyn ObjectStore>>> {
    /// The time-outs of the store are those that count.
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    macro_rules! build {
        ($builder:ty, $key:ty) => {{
            let longest = format!("{} seconds", super::store::LONGEST.as_secs());
            let time_out = <$key>::Client(object_store::ClientConfigKey::Timeout);
            let builder = <$builder>::from_env().with_url(url).with_config(time_out, longest);
            let store = builder.with_retry(super::store::cloud_retries()).build();
            Some(store.map(|store| Arc::new(store) as Arc<dyn ObjectStore>))
        }};
    }
    match feature {
        #[cfg(feature = "s3")]
        "s3" => build!(object_store::aws::AmazonS3Builder, object_store::aws::AmazonS3ConfigKey),
        #[cfg(feature = "gcs")]
        "gcs" => build!(object_store::gcp::GoogleCloudStorageBuilder, object_store::gcp::GoogleConfigKey),
        #[cfg(feature = "azure")]
        "azure" => build!(object_store::azure::MicrosoftAzureBuilder, object_store::azure::AzureConfigKey),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str) -> String {
        match locate(url).expect(url) {
            Location::Directory(path) => path.to_str().expect("UTF-8").to_owned(),
            other @ Location::Objects(..) => panic!("{other:?}"),
        }
    }

    #[test]
    fn directories_are_found() {
        assert_eq!(path("/a/b c"), "/a/b c");
        assert_eq!(path("file:///a/b%20c%25/%c3%a4"), "/a/b c%/ä");
        assert_eq!(path("file://localhost/a"), "/a");
        let here = std::env::current_dir().expect("a directory");
        assert_eq!(path("some/where"), here.join("some/where").to_str().expect("UTF-8"));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for (url, why) in [
            ("", "it is empty"),
            ("file://a/b", "begins with a third slash"),
            ("file:///a%2", "`%2` is no encoded letter"),
            ("file:///a%+1", "`%+1` is no encoded letter"),
            ("file:///a%ff", "it is not UTF-8"),
            ("ftp://x/y", "`ftp://x/y` is unusable as a store: it is neither a path nor begins with file://"),
            ("s3://", "it names no bucket"),
            ("s3://me:secret@bucket/x", "`s3://me:…@bucket/x` is unusable as a store: it holds a secret"),
            ("ftp://me:secret@bucket/x", "`ftp://me:…@bucket/x`"),
        ] {
            let said = locate(url).expect_err(url).to_string();
            assert!(said.contains(why) && !said.contains("me:secret"), "{url}: {said}");
        }
    }

    #[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
    #[test]
    fn what_this_program_was_built_without_is_named() {
        for (url, feature) in [("s3://b/x", "s3"), ("gs://b", "gcs"), ("abfss://c@a.host/x", "azure")] {
            let said = locate(url).expect_err(url).to_string();
            assert!(said.contains(&format!("build it with the feature `{feature}`")), "{said}");
        }
    }
}
