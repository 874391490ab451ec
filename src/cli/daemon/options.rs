//! What a daemon was started with, kept for `restart`: no secret is in it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{DaemonError, Place};

/// The version of the file.
const VERSION: u32 = 1;

/// Variables that are settings begin so.
const SETTINGS: &[u8] = b"SKITTER_";

/// Tells a master that is started in the place of another one to go on with what that had not ended.
pub const GO_ON: &str = "SKITTER_GO_ON";

/// The setting that is a secret, which is handed on in the environment alone.
pub const COOKIE: &str = "SKITTER_COOKIE";

/// The setting that it would exclude.
pub const COOKIE_FILE: &str = "SKITTER_COOKIE_FILE";

/// What a daemon was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    version: u32,
    /// The arguments of the program, without the cookie.
    pub arguments: Vec<OsString>,
    /// The settings in the environment, without the cookie.
    pub environment: Vec<(OsString, OsString)>,
    /// The working directory.
    pub directory: PathBuf,
    /// Whether there was a cookie in the arguments or the environment.
    pub has_secret: bool,
}

impl Options {
    /// Those of this process, given its arguments without the program's name. Gives the cookie apart.
    ///
    /// # Errors
    /// When there is no working directory any more.
    pub fn of_this_process(arguments: &[OsString]) -> std::io::Result<(Options, Option<OsString>)> {
        let (arguments, said) = without_cookie(arguments);
        let settings = std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(SETTINGS));
        let mut environment: Vec<_> = settings.filter(|(name, _)| name != COOKIE).collect();
        if said.is_some() {
            // An option comes before what it excludes.
            environment.retain(|(name, _)| name != COOKIE_FILE);
        }
        environment.sort();
        let cookie = said.or_else(|| std::env::var_os(COOKIE).filter(|cookie| !cookie.is_empty()));
        let directory = std::env::current_dir()?;
        Ok((Options { version: VERSION, arguments, environment, directory, has_secret: cookie.is_some() }, cookie))
    }

    /// Those in a place, if a daemon was ever there.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(place: &Place) -> Result<Option<Options>, DaemonError> {
        let path = place.options();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DaemonError::File { path, action: "read", source }),
        };
        let unfit = |why: String| DaemonError::Unfit { path: path.clone(), why };
        let options: Options = serde_json::from_slice(&text).map_err(|error| unfit(error.to_string()))?;
        match options.version {
            VERSION => Ok(Some(options)),
            other => Err(unfit(format!("it has version {other} and not {VERSION}: it is another release's"))),
        }
    }

    /// Writes them, at once or not at all, for the user alone.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, place: &Place) -> Result<(), DaemonError> {
        let path = place.options();
        let new = path.with_extension("new");
        let write = || {
            let text = serde_json::to_vec(self)?;
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&text)?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| DaemonError::File { path: path.clone(), action: "written", source })
    }
}

/// Takes `--cookie` out of arguments.
fn without_cookie(arguments: &[OsString]) -> (Vec<OsString>, Option<OsString>) {
    let (mut rest, mut cookie) = (Vec::new(), None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let bytes = argument.as_bytes();
        if bytes == b"--" {
            // What is behind it is the workflow's.
            rest.push(argument.clone());
            rest.extend(arguments.cloned());
            break;
        } else if bytes == b"-c" || bytes == b"--cookie" {
            cookie = arguments.next().cloned();
        } else if let Some(value) = bytes.strip_prefix(b"--cookie=") {
            cookie = Some(OsStr::from_bytes(value).to_owned());
        } else if let Some(value) = bytes.strip_prefix(b"-c") {
            cookie = Some(OsStr::from_bytes(value.strip_prefix(b"=").unwrap_or(value)).to_owned());
        } else {
            rest.push(argument.clone());
        }
    }
    (rest, cookie)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn split(arguments: &[&str]) -> (Vec<String>, Option<String>) {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let (rest, cookie) = without_cookie(&arguments);
        let text = |text: OsString| text.into_string().expect("UTF-8");
        (rest.into_iter().map(text).collect(), cookie.map(text))
    }

    #[test]
    fn a_cookie_is_no_argument_any_more() {
        let before = ["worker", "daemon", "-n", "w1"];
        for said in [&["-c", "monster"][..], &["-cmonster"], &["-c=monster"], &["--cookie", "monster"]] {
            let (rest, cookie) = split(&[&before[..], said, &["-t", "gpu"]].concat());
            assert_eq!(rest, ["worker", "daemon", "-n", "w1", "-t", "gpu"]);
            assert_eq!(cookie.as_deref(), Some("monster"));
        }
        assert_eq!(split(&["--cookie=x"]), (Vec::new(), Some("x".to_owned())));
        let (rest, cookie) = split(&["--cookie-file", "f", "--", "-c", "of the workflow"]);
        assert_eq!((rest.join(" ").as_str(), cookie), ("--cookie-file f -- -c of the workflow", None));
    }

    #[test]
    fn they_are_kept_for_the_user_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::at(directory.path().to_owned(), "worker", "w1");
        assert_eq!(Options::read(&place).expect("readable"), None);
        let odd = OsStr::from_bytes(b"a\xff").to_owned();
        let options = Options {
            version: VERSION,
            arguments: vec!["worker".into(), odd],
            environment: vec![("SKITTER_CORES".into(), "2".into())],
            directory: "/".into(),
            has_secret: true,
        };
        options.write(&place).expect("written");
        assert_eq!(Options::read(&place).expect("readable"), Some(options));
        let mode = fs::metadata(place.options()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        fs::write(place.options(), "{}").expect("written");
        assert!(Options::read(&place).expect_err("unreadable").to_string().contains("options`: "));
    }
}
