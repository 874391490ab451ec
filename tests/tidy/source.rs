//! A source file, and what of it is code: neither comment nor text nor test.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// A source file.
pub struct Source {
    /// Its path from the root of the repository, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// The same, with blanks in place of comments, texts and test modules; nothing in files that are tests.
    code: String,
}

impl Source {
    /// A source that stands at `path`.
    pub fn new(path: &str, text: &str) -> Source {
        let is_test = path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/");
        let code = without_tests(&without_comments(text));
        // Tests of a room may see all rooms; integration tests see only what users see.
        let code = if is_test && path.starts_with("src/") { String::new() } else { code };
        Source { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// All Rust files of the project, in order of their paths.
    pub fn all(root: &Path) -> io::Result<Vec<Source>> {
        let mut paths = Vec::new();
        for directory in ["benches", "examples", "src", "tests", "workflows"] {
            find(&root.join(directory), &mut paths)?;
        }
        let mut sources = Vec::new();
        for path in paths {
            let name: Vec<_> =
                path.strip_prefix(root).unwrap_or(&path).iter().map(|part| part.to_string_lossy()).collect();
            sources.push(Source::new(&name.join("/"), &std::fs::read_to_string(&path)?));
        }
        // Modules that are compiled for tests only are said to be so where they are declared.
        let tests: BTreeSet<String> = sources.iter().flat_map(Source::test_modules).collect();
        for source in &mut sources {
            if tests.contains(&source.path) {
                source.code.clear();
            }
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(sources)
    }

    /// The room that it is in, if it is in one.
    pub fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        match inside.split_once('/') {
            Some((room, _)) => Some(room),
            None => inside.strip_suffix(".rs").filter(|name| !matches!(*name, "lib" | "main")),
        }
    }

    /// How many modules it is inside of: the number of `super` that lead to the root.
    fn depth(&self) -> usize {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').filter(|part| !matches!(*part, "lib" | "main")).count()
    }

    /// The items of the crate's root that the code names, each with its line.
    pub fn imports(&self) -> Vec<(usize, String)> {
        let up = vec!["super"; self.depth()].join("::");
        let mut found = Vec::new();
        for root in ["crate", up.as_str()] {
            for at in self.places(root) {
                let rest = self.code[at + root.len()..].trim_start();
                let Some(rest) = rest.strip_prefix("::") else { continue };
                let line = self.line(at);
                found.extend(first_names(rest.trim_start()).into_iter().map(|name| (line, name)));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// What `pub use room::{…}` in lib.rs passes on: the name, and the room that it is from.
    pub fn passed_on(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for at in self.places("pub use") {
            let Some((path, _)) = self.code[at + "pub use".len()..].split_once(';') else { continue };
            let Some((room, names)) = path.trim().split_once("::") else { continue };
            for name in names.trim_matches(['{', '}']).split(',') {
                let name = name.rsplit(" as ").next().unwrap_or(name).trim();
                found.push((name.to_owned(), room.to_owned()));
            }
        }
        found
    }

    /// The lines in which code names something.
    pub fn mentions(&self, what: &str) -> Vec<usize> {
        self.places(what).into_iter().map(|at| self.line(at)).collect()
    }

    /// Where the code has these words, not as a part of longer ones.
    fn places(&self, words: &str) -> Vec<usize> {
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let whole = |at: &usize| {
            let (before, behind) = (&self.code[..*at], &self.code[at + words.len()..]);
            let goes_on = words.ends_with(|c: char| c.is_alphanumeric()) && inside(behind.chars().next());
            !goes_on && !inside(before.chars().next_back())
        };
        if words.is_empty() {
            return Vec::new();
        }
        self.code.match_indices(words).map(|(at, _)| at).filter(whole).collect()
    }

    fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// The files of the modules that it declares for tests only.
    fn test_modules(&self) -> Vec<String> {
        let directory = match self.path.rsplit_once('/') {
            Some((directory, "mod.rs" | "lib.rs" | "main.rs")) => directory.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        let mut found = Vec::new();
        let stripped = without_comments(&self.text);
        for (at, _) in stripped.match_indices("#[cfg(test)]") {
            let behind = behind_attributes(&stripped[at..]);
            let declared = behind.strip_prefix("mod ").and_then(|rest| rest.split_once(';'));
            if let Some((name, _)) = declared.filter(|(name, _)| !name.contains('{')) {
                found.push(format!("{directory}/{name}.rs"));
                found.push(format!("{directory}/{name}/mod.rs"));
            }
        }
        found
    }
}

fn find(directory: &Path, paths: &mut Vec<std::path::PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            find(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

/// The first name of a path, or of each path in a group.
fn first_names(path: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut names, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                names.push(name(&group[begin..at]));
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// What stands behind the attributes at the beginning.
fn behind_attributes(mut code: &str) -> &str {
    while let Some((_, rest)) = code.strip_prefix("#[").and_then(|rest| rest.split_once(']')) {
        code = rest.trim_start();
    }
    code
}

/// Blanks in place of modules that are compiled for tests only.
fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    while let Some(begin) = code.find("#[cfg(test)]") {
        let behind = behind_attributes(&code[begin..]);
        let start = code.len() - behind.len();
        let end = match behind.find(['{', ';']) {
            Some(open) if behind[open..].starts_with('{') => start + open + block(&behind[open..]),
            Some(semicolon) => start + semicolon + 1,
            None => code.len(),
        };
        let blank = blanks(&code[begin..end]);
        code.replace_range(begin..end, &blank);
    }
    code
}

/// The length of the block that the code begins with.
fn block(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

fn blanks(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

/// Blanks in place of comments, texts and characters.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let inside_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let skipped = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            '"' => quoted(rest),
            'r' | 'b' | 'c' if !inside_word => raw(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped > 0 {
            code.push_str(&blanks(&rest[..skipped]));
            rest = &rest[skipped..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// The length of a comment, which may hold others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a text in quotes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw text, or of one of bytes; 0 if it is none.
fn raw(text: &str) -> usize {
    let letters = text.find(|c: char| !matches!(c, 'r' | 'b' | 'c')).unwrap_or(text.len());
    let hashes = text[letters..].find(|c| c != '#').unwrap_or(0);
    let open = letters + hashes;
    if letters > 2 || !text[open..].starts_with('"') {
        return 0;
    }
    if !text[..letters].contains('r') {
        return open + quoted(&text[open..]);
    }
    let close = format!("\"{}", "#".repeat(hashes));
    text[open + 1..].find(&close).map_or(text.len(), |at| open + 1 + at + close.len())
}

/// The length of a character in quotes; 0 if it is the name of a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((_, _))) => chars.find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

#[test]
fn code_is_told_from_text() {
    let text =
        "a /* b /* c */ d */ e // f\n\"g \\\" h\" i r#\"j \" k\"# l 'm' '\\'' '\\u{6e}' &'o p b\"q\" br\"r\" crab";
    let code = without_comments(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "e", "i", "l", "&'o", "p", "crab"]);
    let blank = without_tests("a\n#[cfg(test)]\n#[b(c)]\nmod d { { } }\ne #[cfg(test)] mod f;\ng");
    assert_eq!(blank.split_whitespace().collect::<Vec<_>>(), ["a", "e", "g"]);
    assert_eq!(blank.matches('\n').count(), 5);
}

#[test]
fn a_module_for_tests_is_known_by_its_declaration() {
    let source = Source::new("src/id/mod.rs", "#[cfg(test)]\nmod gate;\nmod other;\n#[cfg(test)]\nmod tests {}");
    assert_eq!(source.test_modules(), ["src/id/gate.rs", "src/id/gate/mod.rs"]);
    let source = Source::new("src/id/tag.rs", "#[cfg(test)]\n#[expect(x)]\nmod tests;");
    assert_eq!(source.test_modules(), ["src/id/tag/tests.rs", "src/id/tag/tests/mod.rs"]);
}
