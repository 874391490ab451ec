//! The licences of all that a program is made of, as one text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::ReleaseError;

/// Most bytes of a licence that are taken: the longest one in use, the GPL, has 35,000.
const MOST_TEXT: u64 = 1 << 20;

/// How deep in a package licences are looked for: those of C code that it carries stand a few directories down.
const DEPTH: usize = 4;

/// What names of files with licences begin with, in capitals.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// Directories that are no part of a program.
const NO_PART: [&str; 6] = ["target", "tests", "examples", "benches", "fuzz", "node_modules"];

/// A package, or something else that is built in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Name and version.
    pub title: String,
    /// The licence as the package states it, and its authors where it has no file that names them.
    expression: String,
    /// Files with licences, and their texts.
    texts: Vec<(String, String)>,
}

impl Part {
    /// A package, by the path of its manifest.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn package(manifest: &Path) -> Result<Part, ReleaseError> {
        let read = |source| ReleaseError::Read { path: manifest.to_owned(), source };
        let text = fs::read_to_string(manifest).map_err(read)?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| read(io::Error::other(error)))?;
        let said = |key: &str| table.get("package")?.get(key)?.as_str();
        // A member of a workspace can leave its version to it; then the name has to do.
        let version = said("version").map(|version| format!(" {version}")).unwrap_or_default();
        let title = format!("{}{version}", said("name").unwrap_or("?"));
        let directory = manifest.parent().unwrap_or(Path::new("."));
        let mut files = Vec::new();
        find(directory, DEPTH, &mut files).map_err(read)?;
        files.extend(said("license-file").map(|name| directory.join(name)));
        let texts = texts(directory, files).map_err(read)?;
        let mut expression = said("license").unwrap_or("no licence stated").to_owned();
        if texts.is_empty() {
            let authors = table.get("package").and_then(|package| package.get("authors")?.as_array());
            let authors: Vec<_> = authors.into_iter().flatten().filter_map(toml::Value::as_str).collect();
            expression.push_str(&authors.iter().map(|author| format!("; {author}")).collect::<String>());
        }
        Ok(Part { title, expression, texts })
    }

    /// Rust's own library, by the directory of the toolchain.
    pub fn library(version: &str, toolchain: &Path) -> Part {
        let directory = toolchain.join("share/doc/rust/licenses");
        let files = ["Apache-2.0.txt", "MIT.txt"].map(|name| directory.join(name));
        // Not every distribution of Rust brings them; the expression says what they are.
        let texts = texts(&directory, files.into_iter().filter(|file| file.is_file()).collect()).unwrap_or_default();
        let expression = "MIT OR Apache-2.0; https://www.rust-lang.org/policies/licenses".to_owned();
        Part { title: format!("Rust's standard library {version}"), expression, texts }
    }
}

/// Finds files that are named as licences are.
fn find(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let is_licence = NAMES.iter().any(|begin| name.starts_with(begin)) && !name.ends_with(".RS");
        let kind = entry.file_type()?;
        if kind.is_file() && is_licence {
            files.push(entry.path());
        } else if kind.is_dir() && depth > 1 && !name.starts_with('.') {
            let other = NO_PART.iter().any(|part| part.eq_ignore_ascii_case(&name));
            // What has a manifest of its own is another package.
            if !other && !entry.path().join("Cargo.toml").exists() {
                find(&entry.path(), depth - 1, files)?;
            }
        }
    }
    Ok(())
}

/// The texts of files, in order, by their paths from a directory.
fn texts(directory: &Path, mut files: Vec<PathBuf>) -> io::Result<Vec<(String, String)>> {
    files.sort();
    files.dedup();
    let mut texts = Vec::new();
    for file in files.into_iter().filter(|file| fs::metadata(file).is_ok_and(|file| file.len() <= MOST_TEXT)) {
        let text = fs::read(&file)?;
        let lines: Vec<_> = String::from_utf8_lossy(&text).lines().map(|line| line.trim_end().to_owned()).collect();
        let path = file.strip_prefix(directory).unwrap_or(&file);
        texts.push((path.display().to_string(), lines.join("\n").trim_matches('\n').to_owned()));
    }
    Ok(texts)
}

/// One text with all licences: what has which, and each text once.
pub fn list(of: &str, mut parts: Vec<Part>) -> String {
    parts.sort();
    parts.dedup();
    let mut numbers = BTreeMap::new();
    let mut all = Vec::new();
    let mut list =
        format!("What {of} is made of, under which licence each part is, and the texts of all licences.\n\n");
    for part in &parts {
        let Part { title, expression, texts } = part;
        // Writing to a text does not fail.
        let _ = writeln!(list, "{title}: {expression}");
        for (file, text) in texts {
            let number = *numbers.entry(text).or_insert_with(|| {
                all.push(text);
                all.len()
            });
            let _ = writeln!(list, "    {file}: text {number}");
        }
    }
    let line = "=".repeat(100);
    for (number, text) in (1..).zip(all) {
        let _ = write!(list, "\n{line}\nText {number}\n{line}\n\n{text}\n");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(place: &Path, name: &str, manifest: &str, files: &[(&str, &str)]) -> PathBuf {
        let directory = place.join(name);
        let write = |path: &str, text: &str| {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("Cargo.toml", &format!("[package]\nname = '{name}'\nversion = '1.0.0'\n{manifest}"));
        files.iter().for_each(|(path, text)| write(path, text));
        directory.join("Cargo.toml")
    }

    #[test]
    fn each_licence_stands_there_once() {
        let place = tempfile::tempdir().expect("a directory");
        let mit = "MIT License\n\nCopyright A";
        let manifests = [
            package(place.path(), "b", "license = 'MIT'", &[("LICENSE", mit), ("src/license.rs", "no licence")]),
            package(
                place.path(),
                "a",
                "license = 'MIT OR Apache-2.0'",
                &[
                    ("license-mit.txt", "MIT License \r\n\r\nCopyright A\r\n"),
                    ("c/x/COPYING", "Apache"),
                    ("tests/LICENSE", "no"),
                ],
            ),
            package(
                place.path(),
                "c",
                "license = 'ISC'\nauthors = ['B <b@c>', 'D']",
                &[("inner/Cargo.toml", ""), ("inner/LICENSE", "no")],
            ),
            package(place.path(), "d", "license-file = 'TERMS'", &[("TERMS", "Terms")]),
        ];
        let parts = || manifests.iter().map(|manifest| Part::package(manifest).expect("a package")).collect::<Vec<_>>();
        let text = list("x", parts());
        let (parts_of, texts) = text.split_once("\n====").expect("texts");
        let expected = "What x is made of, under which licence each part is, and the texts of all licences.\n\n\
                        a 1.0.0: MIT OR Apache-2.0\n    c/x/COPYING: text 1\n    license-mit.txt: text 2\n\
                        b 1.0.0: MIT\n    LICENSE: text 2\n\
                        c 1.0.0: ISC; B <b@c>; D\n\
                        d 1.0.0: no licence stated\n    TERMS: text 3\n";
        assert_eq!(parts_of, expected);
        assert_eq!(texts.matches("Copyright A").count(), 1);
        assert!(!texts.contains("no licence"));
        let other: Vec<_> = parts().into_iter().rev().chain(parts()).collect();
        assert_eq!(list("x", other), text, "neither order nor number changes it");
    }

    #[test]
    fn the_library_of_rust_has_a_licence_even_without_files() {
        let nowhere = Part::library("1.95.0", Path::new("/nowhere"));
        let text = list("x", vec![nowhere]);
        assert!(text.contains("Rust's standard library 1.95.0: MIT OR Apache-2.0"), "{text}");
    }
}
