//! How much is read of what others wrote.

/// Most bytes of all files of a release. A program has some ten MB; a tarball that unpacks to more than this is no
/// release, whatever its size is before.
pub const MOST_BYTES: u64 = 1 << 30;

/// Most files of a release, which has six and what an application adds.
pub const MOST_FILES: usize = 10_000;

/// Most bytes of RELEASE.json: enough for [`MOST_FILES`].
pub const MOST_MANIFEST: u64 = 4 << 20;

/// Most directories inside each other.
pub const MOST_DEPTH: usize = 32;
