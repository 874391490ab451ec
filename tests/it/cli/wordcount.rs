//! `wordcount` against a count of our own, and what it says of bad input.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use super::process::{Ended, log, run, skitter};

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/workflows/texts/constitution.txt");
const STRATEGIES: [&str; 3] = ["keyed", "combining", "partial-key"];

fn expected() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(TEXT).expect("the text");
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(counts.values().sum::<u64>(), 7670, "as `wc -w` says");
    counts
}

fn word_count(directory: &Path, cores: &str, arguments: &[&str]) -> Ended {
    let local = ["local", "--cores", cores, "-d", "wordcount", "--"];
    run(skitter(directory), local.iter().chain(arguments))
}

#[test]
fn the_file_has_the_final_counts() {
    let (expected, directory) = (expected(), tempdir().expect("a directory"));
    for strategy in STRATEGIES {
        for cores in ["1", "2", "8"] {
            let arguments = ["--input", TEXT, "--output", "counts.tsv", "--strategy", strategy];
            let ended = word_count(directory.path(), cores, &arguments).expect(0);
            assert_eq!(ended.stdout, "");
            let written = std::fs::read_to_string(directory.path().join("counts.tsv")).expect("the file");
            let rows = written.lines().map(|line| {
                let (word, count) = line.split_once('\t').expect("a tab");
                (word.to_owned(), count.parse().expect("a number"))
            });
            let counts: BTreeMap<String, u64> = rows.clone().collect();
            assert_eq!(counts, expected, "{strategy}, {cores} cores");
            assert_eq!(rows.count(), expected.len(), "each word once");
            std::fs::remove_file(directory.path().join("counts.tsv")).expect("removed");
            assert_eq!(left(directory.path()), [""; 0]);
        }
    }
}

#[test]
fn the_last_update_that_is_printed_of_each_word_is_its_count() {
    let (expected, directory) = (expected(), tempdir().expect("a directory"));
    for strategy in STRATEGIES {
        for cores in ["1", "2", "8"] {
            let ended = word_count(directory.path(), cores, &["--input", TEXT, "--strategy", strategy]).expect(0);
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for line in ended.stdout.lines() {
                let (word, count) = update(line);
                let last = counts.insert(word, count);
                assert!(last < Some(count), "{line} is out of order");
            }
            assert_eq!(counts, expected, "{strategy}, {cores} cores");
            if strategy == "keyed" {
                assert_eq!(ended.stdout.lines().count(), 7670, "one update for each word");
            }
        }
    }
}

/// `("word", n)`; the text has no word that Rust would escape.
pub fn update(line: &str) -> (String, u64) {
    let inner = line.strip_prefix("(\"").and_then(|line| line.strip_suffix(')')).expect("an update");
    let (word, count) = inner.rsplit_once("\", ").expect("an update");
    (word.replace("\\\"", "\"").replace("\\'", "'"), count.parse().expect("a number"))
}

#[test]
fn coreutils_count_the_same() {
    let directory = tempdir().expect("a directory");
    word_count(directory.path(), "2", &["--input", TEXT, "--output", "counts.tsv"]).expect(0);
    let script = "export LC_ALL=C; tr -s '[:space:]' '\\n' <\"$0\" | grep . | sort | uniq -c | \
                  awk '{print $2 \"\\t\" $1}' | sort >theirs && sort counts.tsv >ours && cmp ours theirs";
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(TEXT).current_dir(directory.path());
    run(shell, [""; 0]).expect(0);
}

#[test]
fn words_of_any_characters_are_written_as_they_are() {
    let directory = tempdir().expect("a directory");
    let words = ["C:\\temp\\new", "\"quoted\"", "a,b", "naïve", "日本", "\u{1}"];
    // What Rust takes for white space is more than ASCII has.
    std::fs::write(directory.path().join("odd.txt"), words.join("\u{a0}\u{85}\u{b}\t\u{2028}")).expect("written");
    word_count(directory.path(), "2", &["--input", "odd.txt", "--output", "counts.tsv"]).expect(0);
    let written = std::fs::read_to_string(directory.path().join("counts.tsv")).expect("the file");
    let mut rows: Vec<_> = written.split_terminator('\n').collect();
    rows.sort_unstable();
    let mut expected = words.map(|word| format!("{word}\t1"));
    expected.sort_unstable();
    assert_eq!(rows, expected);
}

#[test]
fn several_files_and_patterns_are_read() {
    let directory = tempdir().expect("a directory");
    for (name, text) in [("a.txt", "to be"), ("b.txt", "or not\r\nto be"), ("c.log", "nothing")] {
        std::fs::write(directory.path().join(name), text).expect("written");
    }
    word_count(directory.path(), "2", &["--input", "*.txt", "c.log", "--output", "counts.tsv"]).expect(0);
    let written = std::fs::read_to_string(directory.path().join("counts.tsv")).expect("the file");
    let mut rows: Vec<_> = written.lines().collect();
    rows.sort_unstable();
    assert_eq!(rows, ["be\t2", "not\t1", "nothing\t1", "or\t1", "to\t2"]);
}

#[test]
fn an_empty_file_has_no_words() {
    let directory = tempdir().expect("a directory");
    std::fs::write(directory.path().join("empty.txt"), "").expect("written");
    let ended = word_count(directory.path(), "2", &["--input", "empty.txt"]).expect(0);
    assert_eq!(ended.stdout, "");
    word_count(directory.path(), "2", &["--input", "empty.txt", "--output", "counts.tsv"]).expect(0);
    assert_eq!(std::fs::read(directory.path().join("counts.tsv")).expect("the file"), b"");
}

#[test]
fn input_that_cannot_be_read_is_named() {
    let directory = tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("folder")).expect("made");
    // Even for root, reading the first page of one's own memory fails.
    for (input, cause) in [
        ("missing.txt", "No such file or directory"),
        ("folder", "it is a directory"),
        ("/proc/self/mem", "Input/output error"),
    ] {
        let ended = word_count(directory.path(), "2", &["--input", input, "--output", "counts.tsv"]).expect(1);
        let last = *log(&ended.stderr).last().expect("a line");
        assert_eq!(last.0, "error");
        for part in ["`wordcount` failed", "vertex `text files`, worker ", " on `local`", input, cause] {
            assert!(last.1.contains(part), "{part:?} is not in {last:?}");
        }
        assert_eq!(left(directory.path()), ["folder"], "no output is left");
    }
}

#[test]
fn output_that_cannot_be_written_is_named_and_nothing_is_left() {
    let directory = tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("folder")).expect("made");
    std::fs::write(directory.path().join("file"), "").expect("written");
    for (output, cause) in [
        ("/dev/full", "No space left on device"),
        ("file/counts.tsv", "Not a directory"),
        ("missing/counts.tsv", "No such file or directory"),
        ("/proc/self/counts.tsv", ""),
        ("folder", "it is a directory"),
    ] {
        let ended = word_count(directory.path(), "2", &["--input", TEXT, "--output", output]).expect(1);
        let last = *log(&ended.stderr).last().expect("a line");
        for part in ["vertex `write file`, worker ", " on `local`: cannot write ", output, cause] {
            assert!(last.1.contains(part), "{part:?} is not in {last:?}");
        }
        assert_eq!(left(directory.path()), ["file", "folder"]);
    }
}

#[test]
fn a_disk_that_fills_up_leaves_the_old_file() {
    let directory = tempdir().expect("a directory");
    std::fs::write(directory.path().join("counts.tsv"), "old").expect("written");
    let mut shell = Command::new("sh");
    // No file of more than 512 bytes can be written, and the signal that says so is ignored.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" local -d wordcount -- --input \"$1\" --output counts.tsv";
    shell.arg("-c").arg(script).args([env!("CARGO_BIN_EXE_skitter"), TEXT]).current_dir(directory.path());
    let ended = run(shell, [""; 0]).expect(1);
    assert!(ended.stderr.contains("cannot write `counts.tsv`: File too large"), "{ended:?}");
    assert_eq!(left(directory.path()), ["counts.tsv"]);
    assert_eq!(std::fs::read(directory.path().join("counts.tsv")).expect("the file"), b"old");
}

#[test]
fn text_that_is_no_utf_8_is_named_with_its_byte() {
    let directory = tempdir().expect("a directory");
    std::fs::write(directory.path().join("bytes.txt"), b"good\nb\xffd\n").expect("written");
    let ended = word_count(directory.path(), "2", &["--input", "bytes.txt"]).expect(1);
    assert!(ended.stderr.contains("bytes.txt") && ended.stderr.contains("byte 6"), "{ended:?}");
}

/// The files in a directory.
fn left(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name().into_string();
    let mut names: Vec<_> = entries.map(|entry| name(entry).expect("UTF-8")).collect();
    names.sort_unstable();
    names
}
