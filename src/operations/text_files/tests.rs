//! Reading whole files: every line once, whatever the splits.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::workflow::Error;

const TINY: Sizes = Sizes { split: 7, least: 1, block: 5 };

/// Reads a share to its end.
fn read<F: Form>(source: &TextFiles<F>, share: Share) -> Result<Vec<F::Record>> {
    let mut reader = source.open(share)?;
    let mut records = Vec::new();
    while source.read(&mut reader, 3, &mut records)? != Pull::End {}
    if let Some(Progress { done, total }) = source.progress(&reader) {
        assert_eq!(done, total);
    }
    Ok(records)
}

const ALONE: Share = Share { index: 0, of: 1 };

struct Files {
    directory: tempfile::TempDir,
    names: Vec<PathBuf>,
}

impl Files {
    fn new(texts: &[impl AsRef<[u8]>]) -> Files {
        let directory = tempfile::tempdir().expect("a directory");
        let mut names = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            names.push(directory.path().join(format!("{number}.txt")));
            fs::write(&names[number], text).expect("a file");
        }
        Files { directory, names }
    }

    fn source(&self) -> TextFiles {
        TextFiles::new(&self.names)
    }

    fn error(&self, source: &TextFiles) -> String {
        let error = read(source, ALONE).expect_err("unreadable").to_string();
        error.replace(&format!("{}/", self.directory.path().display()), "")
    }
}

/// Text with everything that makes cutting hard.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => Just("\n".to_owned()),
        2 => Just("\r\n".to_owned()),
        1 => Just("\r".to_owned()),
        4 => "[a-c ]{0,4}",
        2 => Just("ä€𝄞".to_owned()),
        1 => (20usize..60).prop_map(|length| "x".repeat(length)),
    ];
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// All shares together read each line once; one share reads them in order. As lines and as blocks.
    #[test]
    fn every_line_is_read_once(
        texts in prop::collection::vec(text(), 1..4),
        of in 1usize..9,
        split in 1u64..60,
        least in 1u64..10,
        block in 1usize..40,
    ) {
        let files = Files::new(&texts);
        let source = files.source().sized(Sizes { split, least, block });
        let mut expected: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();

        prop_assert_eq!(&read(&source, ALONE).expect("readable"), &expected);
        let blocks = read(&source.clone().blocks(), ALONE).expect("readable");
        prop_assert_eq!(&blocks.iter().flat_map(TextBlock::lines).collect::<Vec<_>>(), &expected);
        prop_assert_eq!(blocks.iter().map(TextBlock::as_str).collect::<String>(), texts.concat());

        let (mut lines, mut from_blocks) = (Vec::new(), Vec::new());
        for index in 0..of {
            lines.extend(read(&source, Share { index, of }).expect("readable"));
            for block in read(&source.clone().blocks(), Share { index, of }).expect("readable") {
                from_blocks.extend(block.lines().map(str::to_owned));
            }
        }
        expected.sort_unstable();
        lines.sort_unstable();
        from_blocks.sort_unstable();
        prop_assert_eq!(&lines, &expected);
        prop_assert_eq!(&from_blocks, &expected);
    }

    /// What is not UTF-8 is found where it stands, by whoever reads it, and replaced if that is asked for.
    #[test]
    fn invalid_bytes_are_found_where_they_stand(
        text in text(),
        at in 0usize..200,
        of in 1usize..4,
        split in 1u64..60,
        block in 1usize..40,
    ) {
        let mut bytes = text.into_bytes();
        bytes.insert(at.min(bytes.len()), 0xff);
        let valid = std::str::from_utf8(&bytes).expect_err("invalid").valid_up_to();
        let files = Files::new(&[&bytes]);
        let source = files.source().sized(Sizes { split, least: 1, block });
        let mut errors = (0..of).filter_map(|index| read(&source, Share { index, of }).err());
        let error = errors.next().map(|error| error.to_string()).unwrap_or_default();
        let message = format!("is not valid UTF-8 at byte {valid};");
        prop_assert!(error.contains(&message), "{} lacks {}", error, message);
        prop_assert!(errors.next().is_none());

        let expected = String::from_utf8_lossy(&bytes).into_owned();
        let source = source.lossy();
        let mut lines: Vec<_> =
            (0..of).flat_map(|index| read(&source, Share { index, of }).expect("readable")).collect();
        let mut expected: Vec<_> = expected.lines().collect();
        lines.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(lines, expected);
    }
}

#[test]
fn empty_files_have_no_lines() {
    let files = Files::new(&["", "a\n", ""]);
    assert_eq!(read(&files.source(), ALONE).expect("readable"), ["a"]);
}

#[test]
fn shares_read_large_files_in_default_sizes() {
    let line = "0123456789abcde\n";
    let text: String = line.repeat((1 << 20) / line.len());
    let files = Files::new(&[&text]);
    for of in [1, 3, 8] {
        let lines: Vec<_> =
            (0..of).map(|index| read(&files.source(), Share { index, of }).expect("readable")).collect();
        assert_eq!(lines.iter().map(Vec::len).sum::<usize>(), (1 << 20) / line.len());
        assert!(lines.iter().all(|lines| lines.len().abs_diff((1 << 20) / line.len() / of) < 2));
        let blocks = read(&files.source().blocks(), Share { index: 0, of }).expect("readable");
        assert!(blocks.iter().all(|block| block.as_str().len() <= 70 << 10));
        assert!(blocks.len() <= 17);
    }
}

#[test]
fn a_call_emits_about_its_budget() {
    let files = Files::new(&["a\n".repeat(1000)]);
    let source = files.source();
    let mut reader = source.open(ALONE).expect("readable");
    let mut lines = Vec::new();
    while source.read(&mut reader, 10, &mut lines).expect("readable") == Pull::More {
        assert!(lines.len() <= 10);
        lines.clear();
    }
}

#[test]
fn a_line_that_is_too_long_is_named() {
    let files = Files::new(&["a\nbbbbbbbbbbbbbbb\n"]);
    let error = files.error(&files.source().longest_line(9).sized(TINY));
    assert_eq!(error, "cannot read `0.txt`: the line at byte 2 is longer than 9 bytes");
    assert_eq!(read(&files.source().longest_line(15).sized(TINY), ALONE).expect("readable").len(), 2);
}

#[test]
fn a_file_that_becomes_shorter_is_an_error_and_what_is_appended_is_not_read() {
    let files = Files::new(&["aaaa\nbbbb\ncccc\n"]);
    let source = files.source().sized(TINY);
    let mut reader = source.open(ALONE).expect("readable");
    fs::write(&files.names[0], "aaaa\nb").expect("a file");
    let mut lines = Vec::new();
    let error = loop {
        match source.read(&mut reader, 1, &mut lines) {
            Ok(pull) => assert_eq!(pull, Pull::More),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.ends_with("it became shorter while it was read: 6 of 15 bytes were there"), "{error}");

    let files = Files::new(&["a\nb"]);
    for sizes in [TINY, Sizes::DEFAULT] {
        fs::write(&files.names[0], "a\nb").expect("a file");
        let mut source = files.source().sized(sizes);
        source.conf().expect("readable");
        let mut file = fs::File::options().append(true).open(&files.names[0]).expect("a file");
        file.write_all(b"bb\nc\n").expect("written");
        assert_eq!(read(&source, ALONE).expect("readable"), ["a", "b"]);
    }
}

#[test]
fn what_cannot_be_read_is_found_before_the_start() {
    let mut source = TextFiles::new(["/nowhere/x.txt"]);
    let message = "cannot read `/nowhere/x.txt`: No such file or directory";
    assert_eq!(source.conf(), Err(Error::from(message)));
    assert_eq!(source.open(ALONE).err(), Some(Error::from(message)));
    assert!(TextFiles::new(Vec::<PathBuf>::new()).check().is_err());
    assert!(source.check().is_ok());
    // It opens, and fails when it is read.
    let error = read(&TextFiles::new(["/proc/self/mem"]), ALONE).expect_err("unreadable").to_string();
    assert_eq!(error, "cannot read `/proc/self/mem`: Input/output error");
}

#[test]
fn files_of_the_kernel_are_read_though_they_have_no_size() {
    let lines = read(&TextFiles::new(["/proc/self/status"]), ALONE).expect("readable");
    assert!(lines.iter().any(|line| line.starts_with("Name:")));
    assert!(read(&TextFiles::new(["/dev/null"]), ALONE).expect("readable").is_empty());
}

#[test]
fn a_pipe_gives_lines_as_they_come() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");

    let mut source = TextFiles::new([&path]);
    source.conf().expect("a pipe is not opened before it is read");
    let mut reader = source.open(ALONE).expect("readable");
    assert_eq!(source.progress(&reader), None);
    let mut lines = Vec::new();
    assert!(matches!(source.read(&mut reader, 9, &mut lines), Ok(Pull::After(_))), "nobody writes yet");

    let mut pipe = fs::File::options().write(true).open(&path).expect("it has a reader");
    assert!(matches!(source.read(&mut reader, 9, &mut lines), Ok(Pull::After(_))), "nothing was written yet");
    pipe.write_all(b"a\nb\nc").expect("written");
    let pull = source.read(&mut reader, 9, &mut lines).expect("readable");
    assert_eq!(pull, Pull::After(Duration::from_millis(1)), "it was not left alone for long before");
    assert_eq!(lines, ["a", "b"]);
    pipe.write_all(b"c\n").expect("written");
    drop(pipe);
    while source.read(&mut reader, 9, &mut lines).expect("readable") != Pull::End {}
    assert_eq!(lines, ["a", "b", "cc"]);
}

#[test]
fn each_special_file_is_read_by_one_share() {
    let source = TextFiles::new(["/proc/self/status"; 3]);
    let counts: Vec<_> = (0..4).map(|index| read(&source, Share { index, of: 4 }).expect("readable").len()).collect();
    assert!(counts[0] > 0 && counts[1] == counts[0] && counts[2] == counts[0] && counts[3] == 0, "{counts:?}");
}

/// A file with this ending, of some thousand lines in two parts that were compressed one by one.
fn compressed(ending: &str, compress: impl Fn(&[u8]) -> Vec<u8>) -> (tempfile::TempDir, PathBuf, Vec<String>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(format!("a.txt.{ending}"));
    let lines: Vec<String> = (0..200_000).map(|number| format!("line {number}")).collect();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let (first, second) = text.split_at(text.len() / 3);
    fs::write(&path, [compress(first.as_bytes()), compress(second.as_bytes())].concat()).expect("a file");
    (directory, path, lines)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

/// Reads some lines, goes on elsewhere, and reads the others.
fn read_in_two(path: &Path, first: usize) -> Vec<String> {
    let source = TextFiles::new([path]);
    let mut reader = source.open(ALONE).expect("readable");
    assert_eq!(source.progress(&reader), None);
    let mut lines = Vec::new();
    while lines.len() < first {
        source.read(&mut reader, 700, &mut lines).expect("readable");
    }
    let mut snapshot = Snapshot::new(1);
    source.position(&mut reader, &mut snapshot).expect("a position");
    let saved = snapshot.finish().into_saved(0).expect("saved");
    let mut reader = source.resume(ALONE, &saved).expect("readable");
    while source.read(&mut reader, 700, &mut lines).expect("readable") != Pull::End {}
    lines
}

#[test]
fn what_is_in_a_compressed_file_is_read_from_where_it_was() {
    let (_directory, path, lines) = compressed("gz", gzip);
    for first in [0, 1, 150_000] {
        assert!(read_in_two(&path, first) == lines, "behind {first}");
    }
    // By one share, whatever there are.
    let counts: Vec<_> =
        (0..3).map(|index| read(&TextFiles::new([&path]), Share { index, of: 3 }).expect("readable").len()).collect();
    assert_eq!(counts, [lines.len(), 0, 0]);
}

#[cfg(feature = "zstd")]
#[test]
fn zstandard_is_read_like_the_others() {
    let (_directory, path, lines) = compressed("zst", |bytes| zstd::encode_all(bytes, 1).expect("compressed"));
    assert!(read_in_two(&path, 150_000) == lines);
}

#[test]
fn a_compressed_file_that_is_damaged_is_named() {
    let (_directory, path, _) = compressed("gz", gzip);
    let whole = fs::read(&path).expect("a file");
    fs::write(&path, &whole[..whole.len() - 9]).expect("a file");
    let error = read(&TextFiles::new([&path]), ALONE).expect_err("cut").to_string();
    assert!(error.starts_with("cannot read `") && error.contains("a.txt.gz`: "), "{error}");
    fs::write(&path, "no gzip").expect("a file");
    assert!(read(&TextFiles::new([&path]), ALONE).is_err());
    #[cfg(not(feature = "zstd"))]
    {
        let other = path.with_extension("zst");
        fs::write(&other, "").expect("a file");
        let error = TextFiles::new([&other]).conf().expect_err("not built").to_string();
        assert!(error.contains("feature `zstd`"), "{error}");
    }
}
