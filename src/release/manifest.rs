//! `RELEASE.json`: what a release is, and the sums of its files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limits::{MOST_BYTES, MOST_FILES, MOST_MANIFEST};

/// The name of the file.
pub const MANIFEST: &str = "RELEASE.json";

/// The form of the file; one that is read otherwise gets another number.
const FORMAT: u32 = 1;

/// Most bytes of a name, version or target, which become names of files.
const MOST_NAME: usize = 100;

/// What a release is. Names of the fields are those of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the file.
    format: u32,
    /// The name of the application: that of its package.
    pub name: String,
    /// The version of the application.
    pub version: String,
    /// The version of Skitter that it was built with.
    pub skitter: String,
    /// What the program runs on, as Rust names it.
    pub target: String,
    /// The fingerprint of the program, in hexadecimal, by which nodes tell builds apart: the BLAKE3 of `bin/skitter`.
    pub build: String,
    /// All other files of the release, by their path inside of it.
    pub files: BTreeMap<String, Sum>,
}

/// What tells a file from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// The SHA-256 of all its bytes, in hexadecimal.
    pub sha256: String,
    /// How many bytes it has.
    pub size: u64,
}

impl Manifest {
    /// A release without files.
    pub fn new(name: &str, version: &str, skitter: &str, target: &str, build: String) -> Manifest {
        let [name, version, skitter, target] = [name, version, skitter, target].map(str::to_owned);
        Manifest { format: FORMAT, name, version, skitter, target, build, files: BTreeMap::new() }
    }

    /// Reads the text of the file, which may be anybody's.
    ///
    /// # Errors
    /// When it is none, or says what no release says. Then tells why.
    pub fn parse(text: &[u8]) -> Result<Manifest, String> {
        if text.len() as u64 > MOST_MANIFEST {
            return Err(format!("{MANIFEST} has more than {MOST_MANIFEST} bytes"));
        }
        let manifest: Manifest = serde_json::from_slice(text).map_err(|error| format!("{MANIFEST}: {error}"))?;
        match manifest.fault() {
            Some(fault) => Err(format!("{MANIFEST}: {fault}")),
            None => Ok(manifest),
        }
    }

    fn fault(&self) -> Option<String> {
        let Manifest { format, name, version, skitter, target, build, files } = self;
        if *format != FORMAT {
            return Some(format!("it has form {format}, this program knows {FORMAT}; use the program in the release"));
        }
        let texts = [("name", name), ("version", version), ("skitter", skitter), ("target", target)];
        if let Some((key, text)) = texts.into_iter().find(|(_, text)| !is_name(text)) {
            return Some(format!("its {key} `{}` is none", text.escape_debug()));
        }
        if !is_hash(build) {
            return Some("its build is no fingerprint".to_owned());
        }
        if files.len() > MOST_FILES {
            return Some(format!("it lists more than {MOST_FILES} files"));
        }
        let all = files.values().try_fold(0u64, |all, sum| all.checked_add(sum.size));
        if all.is_none_or(|all| all > MOST_BYTES) {
            return Some(format!("its files have more than {MOST_BYTES} bytes"));
        }
        let wrong = files.iter().find(|(path, sum)| !is_path(path) || *path == MANIFEST || !is_hash(&sum.sha256));
        wrong.map(|(path, _)| format!("it lists `{}`, which is no file of a release", path.escape_debug()))
    }

    /// The text of the file.
    ///
    /// # Errors
    /// Never; serialising could, as far as its type tells.
    pub(super) fn text(&self) -> serde_json::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The directory that a tarball unpacks to.
    pub fn directory(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// The usual name of the tarball.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.tar.gz", self.name, self.version, self.target)
    }
}

/// A text that can be a part of a file's name, without a meaning of its own: package names, versions and targets are.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    text.len() <= MOST_NAME && text.bytes().all(fits) && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// A path that leads to a file inside: no root, no `.` and `..`, nothing empty.
pub(super) fn is_path(text: &str) -> bool {
    !text.contains(['\0', '\\']) && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new("hello", "0.1.0", "0.1.0", "x86_64-unknown-linux-gnu", "0".repeat(64));
        manifest.files.insert("bin/skitter".to_owned(), Sum { sha256: "a".repeat(64), size: 3 });
        manifest
    }

    #[test]
    fn it_is_written_and_read() {
        let text = manifest().text().expect("a text");
        assert_eq!(Manifest::parse(&text), Ok(manifest()));
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.starts_with("{\n  \"format\": 1,\n  \"name\": \"hello\",\n  \"version\": \"0.1.0\",\n"), "{text}");
        assert!(text.contains("\"bin/skitter\": {\n      \"sha256\": \"aaa"), "{text}");
        assert_eq!(manifest().file_name(), "hello-0.1.0-x86_64-unknown-linux-gnu.tar.gz");
        assert_eq!(manifest().directory(), "hello-0.1.0");
    }

    #[test]
    fn what_no_release_says_is_refused() {
        let said = |change: fn(&mut Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            Manifest::parse(&manifest.text().expect("a text")).expect_err("it is wrong")
        };
        let sum = |manifest: &Manifest| manifest.files["bin/skitter"].clone();
        assert!(said(|manifest| manifest.format = 2).contains("it has form 2, this program knows 1"));
        assert!(said(|manifest| manifest.name = "../x".to_owned()).contains("its name `../x` is none"));
        assert!(said(|manifest| manifest.version.clear()).contains("its version `` is none"));
        assert!(said(|manifest| manifest.target = "a\u{1b}[2J".to_owned()).contains("`a\\u{1b}[2J`"));
        assert!(said(|manifest| manifest.skitter = "x".repeat(101)).contains("its skitter"));
        assert!(said(|manifest| manifest.build = "A".repeat(64)).contains("its build is no fingerprint"));
        for path in ["/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "", "a\0b", MANIFEST] {
            let mut manifest = manifest();
            manifest.files.insert(path.to_owned(), sum(&manifest));
            let said = Manifest::parse(&manifest.text().expect("a text")).expect_err(path);
            assert!(said.contains("which is no file of a release"), "{path}: {said}");
        }
        for size in [MOST_BYTES + 1, u64::MAX] {
            let mut manifest = manifest();
            manifest.files.insert("large".to_owned(), Sum { sha256: "a".repeat(64), size });
            let said = Manifest::parse(&manifest.text().expect("a text")).expect_err("large");
            assert!(said.contains("its files have more than 1073741824 bytes"), "{said}");
        }
        assert!(Manifest::parse(b"{}").expect_err("empty").starts_with("RELEASE.json: missing field"));
        assert!(Manifest::parse(b"\xff").is_err());
        let large = vec![b' '; MOST_MANIFEST as usize + 1];
        assert!(Manifest::parse(&large).expect_err("large").contains("more than 4194304 bytes"));
    }
}
