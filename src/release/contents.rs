//! The files of a release, from the templates in `release/`.

use super::archive::File;
use super::here::PROGRAM;
use super::manifest::{MANIFEST, Manifest};
use super::template::fill;
use super::verify::sum_of;

const README: &str = include_str!("../../release/README.md");
const SERVICE: &str = include_str!("../../release/skitter-worker.service");

/// What a release is made of.
pub struct Contents<'a> {
    /// What it is, still without files.
    pub manifest: Manifest,
    /// The bytes of the program.
    pub program: Vec<u8>,
    /// The text of `skitter.toml`.
    pub configuration: &'a str,
    /// The text of `LICENSES.txt`.
    pub licenses: String,
    /// Where the program runs.
    pub runs_on: String,
}

impl Contents<'_> {
    /// All files, with their sums in `RELEASE.json`.
    ///
    /// # Errors
    /// Never, as far as is known: when the manifest cannot be written as JSON.
    pub fn files(self) -> serde_json::Result<(Manifest, Vec<File>)> {
        let Contents { mut manifest, program, configuration, licenses, runs_on } = self;
        let tarball = manifest.file_name();
        let top = manifest.directory();
        let values = [
            ("NAME", manifest.name.as_str()),
            ("VERSION", &manifest.version),
            ("SKITTER", &manifest.skitter),
            ("TARBALL", &tarball),
            ("TOP", &top),
            ("RUNS_ON", &runs_on),
        ];
        let text =
            |path: &str, text: &str| File { path: path.to_owned(), executable: false, bytes: text.as_bytes().to_vec() };
        let mut files = vec![
            File { path: PROGRAM.to_owned(), executable: true, bytes: program },
            text("skitter.toml", configuration),
            text("skitter-worker.service", &fill(SERVICE, &values)),
            text("README.md", &fill(README, &values)),
            text("LICENSES.txt", &licenses),
        ];
        manifest.files = files.iter().map(|file| (file.path.clone(), sum_of(&file.bytes))).collect();
        files.push(File { path: MANIFEST.to_owned(), executable: false, bytes: manifest.text()? });
        Ok((manifest, files))
    }
}

/// A small release, for tests.
#[cfg(test)]
pub(super) fn sample() -> (Manifest, Vec<File>) {
    let target = "x86_64-unknown-linux-gnu";
    let program = b"#!/bin/sh\n".to_vec();
    let build = blake3::hash(&program).to_hex().to_string();
    let contents = Contents {
        manifest: Manifest::new("hello", "0.2.0", "0.1.0", target, build),
        program,
        configuration: "# cores = 4\n",
        licenses: "none\n".to_owned(),
        runs_on: "any Linux".to_owned(),
    };
    contents.files().expect("files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled() {
        let (manifest, files) = sample();
        assert_eq!(files.len(), 6);
        assert_eq!(manifest.files.len(), 5, "all but the manifest");
        for file in files.iter().filter(|file| file.path != PROGRAM) {
            let text = String::from_utf8(file.bytes.clone()).expect("UTF-8");
            assert!(!text.contains('@') || text.contains("@host"), "{}: {text}", file.path);
            assert!(text.ends_with('\n'), "{}", file.path);
        }
        let text = |path: &str| {
            let file = files.iter().find(|file| file.path == path).expect(path);
            String::from_utf8(file.bytes.clone()).expect("UTF-8")
        };
        assert!(text("README.md").contains("tar xzf hello-0.2.0-x86_64-unknown-linux-gnu.tar.gz"));
        assert!(text("README.md").contains("any Linux"));
        assert!(text("skitter-worker.service").contains("ExecStart=/opt/hello-0.2.0/bin/skitter worker start"));
    }
}
