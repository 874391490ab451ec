//! Files that are read through a decoder.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// How much of what is to be skipped is decoded in one call: a few milliseconds.
const SKIPPED_AT_ONCE: u64 = 1 << 20;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// As the name of the file says.
    pub fn of(path: &Path) -> Result<Option<Compression>, &'static str> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Ok(Some(Compression::Gzip)),
            #[cfg(feature = "zstd")]
            Some("zst") => Ok(Some(Compression::Zstd)),
            #[cfg(not(feature = "zstd"))]
            Some("zst") => {
                Err("it is compressed by Zstandard, for which Skitter has to be built with the feature `zstd`")
            }
            _ => Ok(None),
        }
    }
}

/// What is in a compressed file, from some place on.
pub(super) struct Decoded {
    decoder: Box<dyn Read + Send>,
    /// How much of it has been decoded.
    at: u64,
}

impl Decoded {
    pub fn new(file: File, compression: Compression) -> io::Result<Self> {
        let file = BufReader::with_capacity(64 << 10, file);
        let decoder: Box<dyn Read + Send> = match compression {
            // One that was made of several, as `cat` or `pigz` does.
            Compression::Gzip => Box::new(MultiGzDecoder::new(file)),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        };
        Ok(Decoded { decoder, at: 0 })
    }

    /// Appends up to `wanted` bytes to the buffer, from this place on, which is not before that of the last call. 0 is
    /// the end.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] when there is more to skip: call again.
    pub fn read(&mut self, buffer: &mut Vec<u8>, wanted: usize, at: u64) -> io::Result<usize> {
        if self.at < at {
            let most = (at - self.at).min(SKIPPED_AT_ONCE);
            let skipped = io::copy(&mut self.decoder.by_ref().take(most), &mut io::sink())?;
            self.at += skipped;
            return match skipped {
                0 => Err(io::Error::other("it has become shorter than it was")),
                _ => Err(io::ErrorKind::Interrupted.into()),
            };
        }
        let read = self.decoder.by_ref().take(wanted as u64).read_to_end(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoded").field("at", &self.at).finish_non_exhaustive()
    }
}
