//! The package that an application begins as: a word count with its test, which builds and runs as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::ReleaseError;
use super::template::fill;

/// Its files, from the templates in `release/new`.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("../../release/new/manifest.toml")),
    ("README.md", include_str!("../../release/new/README.md")),
    (".gitignore", include_str!("../../release/new/gitignore")),
    ("src/main.rs", include_str!("../../release/new/main.rs")),
    ("src/hello.rs", include_str!("../../release/new/hello.rs")),
];

/// Most bytes of a name; the registry of crates has this limit.
const MOST: usize = 64;

/// What a package cannot be called: the keywords of Rust 2024, by its reference.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "_",
];

/// What has a meaning of its own: crates that come with Rust, directories that cargo builds in, names that Windows
/// keeps for devices, and what the package depends on.
const TAKEN: [&str; 18] = [
    "test",
    "core",
    "std",
    "alloc",
    "proc_macro",
    "proc-macro",
    "deps",
    "examples",
    "build",
    "incremental",
    "con",
    "prn",
    "aux",
    "nul",
    "com1",
    "lpt1",
    "skitter",
    "mimalloc",
];

/// Where the library comes from.
#[derive(Clone, Copy, Debug)]
pub enum Dependency<'a> {
    /// The registry: this version, or one that is compatible with it.
    Version(&'a str),
    /// A checkout in this directory.
    Path(&'a Path),
}

/// A package that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    name: String,
}

impl Application {
    /// A package of this name.
    ///
    /// # Errors
    /// When cargo would refuse it, or it could not be told from others. Then tells why and what to do.
    pub fn new(name: &str) -> Result<Application, ReleaseError> {
        match fault(name) {
            Some(why) => {
                let example = "such as `hello_skitter`";
                let text = format!(
                    "`{}` cannot be the name of a package: {why}; choose another, {example}",
                    name.escape_debug()
                );
                Err(ReleaseError::Usage(text))
            }
            None => Ok(Application { name: name.to_owned() }),
        }
    }

    /// Makes it, as a directory of its name in this one. Returns that. What was made is removed if it cannot be
    /// completed.
    ///
    /// # Errors
    /// When there is something of that name, the checkout is none, or the directory cannot be written.
    pub fn create(&self, parent: &Path, dependency: Dependency<'_>) -> Result<PathBuf, ReleaseError> {
        let dependency = match dependency {
            Dependency::Version(version) => format!("\"{version}\""),
            Dependency::Path(path) => checkout(path)?,
        };
        let directory = parent.join(&self.name);
        fs::create_dir(&directory).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                let shown = directory.display();
                ReleaseError::Usage(format!("`{shown}` is already there; choose another name, or remove it"))
            }
            _ => ReleaseError::Write { path: directory.clone(), source },
        })?;
        let values = [("NAME", self.name.as_str()), ("SKITTER", &dependency)];
        let written = FILES.iter().try_for_each(|(path, text)| {
            let path = directory.join(path);
            let text = if path.extension().is_some_and(|kind| kind == "rs") {
                (*text).to_owned()
            } else {
                fill(text, &values)
            };
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text))
        });
        written.map_err(|source| {
            let _ = fs::remove_dir_all(&directory);
            ReleaseError::Write { path: directory.clone(), source }
        })?;
        Ok(directory)
    }
}

/// A checkout as a dependency.
fn checkout(path: &Path) -> Result<String, ReleaseError> {
    let shown = path.display();
    let wrong = |why: &str| ReleaseError::Usage(format!("`{shown}` is no checkout of Skitter: {why}"));
    let manifest = fs::read_to_string(path.join("Cargo.toml"))
        .map_err(|error| wrong(&format!("its Cargo.toml cannot be read ({error})")))?;
    let manifest: Option<toml::Table> = toml::from_str(&manifest).ok();
    let name = manifest.as_ref().and_then(|manifest| manifest.get("package")?.get("name")?.as_str());
    if name != Some("skitter") {
        return Err(wrong("its Cargo.toml is not that of package `skitter`"));
    }
    let path = path.canonicalize().map_err(|source| ReleaseError::Read { path: path.to_owned(), source })?;
    let path = path
        .into_os_string()
        .into_string()
        .map_err(|_| wrong("its path is not UTF-8, as that of a dependency has to be"))?;
    Ok(format!("{{ path = {} }}", toml::Value::String(path)))
}

/// What is wrong with a name.
fn fault(name: &str) -> Option<String> {
    let first = name.chars().next();
    let odd = name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'));
    let small = name.to_ascii_lowercase();
    Some(match first {
        None => "it is empty".to_owned(),
        _ if name.len() > MOST => format!("it has {} bytes, of at most {MOST}", name.len()),
        _ if name.contains('/') => {
            "it is a path; go to the directory that it shall be in, and give the name".to_owned()
        }
        _ if odd.is_some() => "it may have letters from a to z, digits, `-` and `_`".to_owned(),
        Some(first) if first.is_ascii_digit() => "it begins with a digit".to_owned(),
        Some(first) if !first.is_ascii_alphabetic() => "it does not begin with a letter".to_owned(),
        _ if KEYWORDS.contains(&small.as_str()) => "it is a keyword of Rust".to_owned(),
        _ if TAKEN.contains(&small.as_str()) => "it has another meaning to Rust, cargo or the package".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_refuses_are_refused() {
        for name in ["hello_skitter", "a", "Word-Count2", "x_", &"x".repeat(MOST)] {
            Application::new(name).expect(name);
        }
        for (name, why) in [
            ("", "it is empty"),
            ("1st", "it begins with a digit"),
            ("-x", "it does not begin with a letter"),
            ("_", "it does not begin with a letter"),
            ("../x", "it is a path"),
            ("a b", "it may have letters"),
            ("grüße", "it may have letters"),
            ("a.b", "it may have letters"),
            ("a\u{1b}", "it may have letters"),
            ("match", "it is a keyword"),
            ("Self", "it is a keyword"),
            ("test", "it has another meaning"),
            ("deps", "it has another meaning"),
            ("NUL", "it has another meaning"),
            ("skitter", "it has another meaning"),
            (&"x".repeat(MOST + 1), "it has 65 bytes, of at most 64"),
        ] {
            let said = Application::new(name).expect_err(name).to_string();
            assert!(said.contains(why) && said.ends_with("; choose another, such as `hello_skitter`"), "{said}");
            assert!(!said.contains('\u{1b}'));
        }
    }

    #[test]
    fn a_package_is_made_once() {
        let place = tempfile::tempdir().expect("a directory");
        let application = Application::new("words").expect("a name");
        let made = application.create(place.path(), Dependency::Version("0.1.0")).expect("made");
        assert_eq!(made, place.path().join("words"));
        for (path, _) in FILES {
            let text = fs::read_to_string(made.join(path)).expect(path);
            assert!(!text.contains("@NAME@") && !text.contains("@SKITTER@"), "{path}: {text}");
            assert!(text.ends_with('\n'), "{path}");
        }
        let manifest: toml::Table =
            toml::from_str(&fs::read_to_string(made.join("Cargo.toml")).expect("a file")).expect("TOML");
        assert_eq!(manifest["package"]["name"].as_str(), Some("words"));
        assert_eq!(manifest["dependencies"]["skitter"].as_str(), Some("0.1.0"));
        let said = application.create(place.path(), Dependency::Version("0.1.0")).expect_err("twice").to_string();
        assert!(said.ends_with("words` is already there; choose another name, or remove it"), "{said}");
    }

    #[test]
    fn a_checkout_is_one_of_skitter() {
        let place = tempfile::tempdir().expect("a directory");
        let application = Application::new("words").expect("a name");
        let said =
            |path: &Path| application.create(place.path(), Dependency::Path(path)).expect_err("none").to_string();
        assert!(said(&place.path().join("x")).contains("its Cargo.toml cannot be read"));
        let odd = place.path().join("a \"quoted\" place");
        fs::create_dir(&odd).expect("made");
        fs::write(odd.join("Cargo.toml"), "[package]\nname = 'other'").expect("written");
        assert!(said(&odd).contains("is not that of package `skitter`"));
        assert!(!place.path().join("words").exists(), "nothing is made in vain");
        fs::write(odd.join("Cargo.toml"), "[package]\nname = 'skitter'").expect("written");
        let made = application.create(place.path(), Dependency::Path(&odd)).expect("made");
        let manifest: toml::Table =
            toml::from_str(&fs::read_to_string(made.join("Cargo.toml")).expect("a file")).expect("TOML");
        let path = manifest["dependencies"]["skitter"]["path"].as_str().expect("a path");
        assert_eq!(Path::new(path), odd.canonicalize().expect("a path"));
    }

    #[test]
    fn the_templates_use_the_edition_of_the_house() {
        let (own, of_new) = (include_str!("../../Cargo.toml"), FILES[0].1);
        for key in ["edition = ", "rust-version = "] {
            let line = |text: &'static str| text.lines().find(|line| line.starts_with(key));
            assert!(line(own).is_some());
            assert_eq!(line(own), line(of_new));
        }
    }
}
