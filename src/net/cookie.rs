//! The cookie: the secret that the nodes of a cluster share.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::file::{self, Problem};

/// Most bytes of a cookie: far more than are worth anything, and no file of another kind.
pub const MAX_COOKIE: usize = 1024;

/// Random bytes of a cookie that is made: as many as the hash that it is used with has.
const RANDOM: usize = 32;

/// The name of the file, in a user's home, that the nodes of a user find their cookie in.
pub const COOKIE_FILE: &str = ".skitter.cookie";

/// How often the file is looked for and made anew, when it goes away between the two.
const ATTEMPTS: usize = 3;

/// The secret that the nodes of a cluster share. It never travels, and is never shown.
///
/// # Examples
/// ```
/// use skitter::net::Cookie;
///
/// let cookie = Cookie::new("monster\n")?;
/// assert!(cookie == Cookie::new("monster")?, "white space around it does not count");
/// assert_eq!(format!("{cookie:?}"), "Cookie(…)");
/// # Ok::<(), skitter::net::CookieError>(())
/// ```
#[derive(Clone)]
pub struct Cookie(Vec<u8>);

/// Why there is no cookie.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// There is nothing in it.
    #[error("the cookie is empty")]
    Empty,
    /// It is longer than [`MAX_COOKIE`].
    #[error("the cookie is longer than {MAX_COOKIE} bytes")]
    TooLong,
    /// The file is unfit.
    #[error("cookie file `{}`: {why}", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The file cannot be read or made.
    #[error("cookie file `{}` cannot be {action}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Cookie {
    /// The cookie that a text is. White space around it does not count, because files end with a line feed.
    ///
    /// # Errors
    /// When nothing is left of it, or more than [`MAX_COOKIE`] bytes.
    pub fn new(text: impl AsRef<[u8]>) -> Result<Cookie, CookieError> {
        match text.as_ref().trim_ascii() {
            [] => Err(CookieError::Empty),
            secret if secret.len() > MAX_COOKIE => Err(CookieError::TooLong),
            secret => Ok(Cookie(secret.to_vec())),
        }
    }

    /// The cookie in a file.
    ///
    /// # Errors
    /// When there is none, it is no file, others than its owner have permissions on it, it cannot be read, or there is
    /// no cookie in it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Cookie, CookieError> {
        let path = path.as_ref();
        read(path).map_err(|problem| problem.of(path))
    }

    /// The cookie in a file, which is made with 32 random bytes, in hexadecimal, if it is not there. Nodes that start
    /// at the same time agree, and none sees a part of it.
    ///
    /// # Errors
    /// As [`Cookie::from_file`]; and when the file cannot be made.
    pub fn from_file_or_new(path: impl AsRef<Path>) -> Result<Cookie, CookieError> {
        let path = path.as_ref();
        for _ in 1..ATTEMPTS {
            match read(path) {
                Err(Problem::File("read", error)) if error.kind() == io::ErrorKind::NotFound => {}
                found => return found.map_err(|problem| problem.of(path)),
            }
            make(path).map_err(|error| Problem::File("made", error).of(path))?;
        }
        Cookie::from_file(path)
    }

    /// The secret, for whoever hands it to a node by a way that nobody else can see; none if it is not UTF-8.
    pub fn text(&self) -> Option<String> {
        str::from_utf8(&self.0).ok().map(str::to_owned)
    }

    /// The secret, for who proves to know it.
    pub(super) fn secret(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(…)")
    }
}

impl PartialEq for Cookie {
    /// Takes as long whatever the difference is.
    fn eq(&self, other: &Cookie) -> bool {
        let differences = self.0.iter().zip(&other.0).fold(0, |differences, (a, b)| differences | (a ^ b));
        self.0.len() == other.0.len() && std::hint::black_box(differences) == 0
    }
}

impl Eq for Cookie {}

impl Problem {
    fn of(self, path: &Path) -> CookieError {
        let path = path.to_owned();
        match self {
            Problem::Unfit(why) => CookieError::Unfit { path, why },
            Problem::File(action, source) => CookieError::File { path, action, source },
        }
    }
}

fn read(path: &Path) -> Result<Cookie, Problem> {
    // Room for a cookie and the white space around it; what is longer is refused anyway.
    let text = file::read(path, true, 2 * MAX_COOKIE)?;
    Cookie::new(text).map_err(|error| Problem::Unfit(error.to_string()))
}

/// Makes the file, unless somebody else has made it first. It gets its name when all of it is there.
fn make(path: &Path) -> io::Result<()> {
    let mut random = [0; RANDOM];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // Nobody else comes upon this name; the first half of a second cookie would do, but not of this one.
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(|error| io::Error::other(error.to_string()))?;
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{:016x}", u64::from_le_bytes(suffix)));
    let made = write(Path::new(&unfinished), &text).and_then(|()| std::fs::hard_link(&unfinished, path));
    let removed = std::fs::remove_file(&unfinished);
    match made {
        Ok(()) => removed,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => removed,
        Err(error) => Err(error),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // Whatever the mask of the process is.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
