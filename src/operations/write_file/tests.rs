//! A file is there when it is complete, or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Directory(tempfile::tempdir().expect("a directory"))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// All names in it.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a directory");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn error(&self, result: Result<()>) -> String {
        result.expect_err("refused").to_string().replace(&self.0.path().display().to_string(), "DIR")
    }
}

fn nothing() -> Vec<Infallible> {
    Vec::new()
}

fn write<T: Serialize + Send + 'static>(file: &WriteFile<T>, records: impl IntoIterator<Item = T>) -> Result<()> {
    let mut state = file.init();
    for record in records {
        file.react(&mut state, record, &mut nothing())?;
    }
    file.finish(&mut state, &mut nothing())?;
    file.commit(&mut state, Commit::End)
}

fn counts() -> Vec<(String, u64)> {
    vec![("to be".to_owned(), 2), ("\"".to_owned(), 1)]
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

#[test]
fn each_format_is_written() {
    let directory = Directory::new();
    write(&WriteFile::tsv(directory.at("a.tsv")), counts()).expect("written");
    write(&WriteFile::csv(directory.at("a.csv")), counts()).expect("written");
    write(&WriteFile::json_lines(directory.at("a.jsonl")), counts()).expect("written");
    assert_eq!(read(&directory.at("a.tsv")), "to be\t2\n\"\t1\n");
    assert_eq!(read(&directory.at("a.csv")), "to be,2\n\"\"\"\",1\n");
    assert_eq!(read(&directory.at("a.jsonl")), "[\"to be\",2]\n[\"\\\"\",1]\n");
    assert_eq!(directory.names(), ["a.csv", "a.jsonl", "a.tsv"]);
}

#[test]
fn no_records_give_an_empty_file() {
    let directory = Directory::new();
    write(&WriteFile::<u64>::tsv(directory.at("a.tsv")), []).expect("written");
    assert_eq!(read(&directory.at("a.tsv")), "");
}

#[test]
fn many_records_are_written_in_order() {
    let directory = Directory::new();
    write(&WriteFile::tsv(directory.at("a.tsv")), 0..50_000u64).expect("written");
    let expected: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    assert!(read(&directory.at("a.tsv")) == expected);
}

#[test]
fn a_file_is_replaced_at_the_end_only() {
    let directory = Directory::new();
    let path = directory.at("a.tsv");
    fs::write(&path, "old").expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("permissions");
    std::os::unix::fs::symlink(&path, directory.at("link")).expect("a link");

    let file = WriteFile::tsv(directory.at("link"));
    let mut state = file.init();
    file.react(&mut state, "new", &mut nothing()).expect("written");
    file.flush(&mut state).expect("written");
    let names = directory.names();
    assert!(names[0].starts_with(".a.tsv.") && names[0].split('.').next_back() == Some("part"), "{names:?}");
    assert_eq!(read(&directory.at(&names[0])), "new\n", "flushed");
    assert_eq!(read(&path), "old");

    file.finish(&mut state, &mut nothing()).expect("written");
    file.finish(&mut state, &mut nothing()).expect("twice is once");
    assert_eq!(read(&path), "old");
    file.commit(&mut state, Commit::End).expect("complete");
    file.commit(&mut state, Commit::End).expect("twice is once");
    assert_eq!(read(&path), "new\n");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(directory.at("link")).expect("a link").is_symlink());
    assert_eq!(directory.names(), ["a.tsv", "link"]);
    assert!(file.react(&mut state, "late", &mut nothing()).is_err());
}

#[test]
fn nothing_is_left_of_a_file_that_is_not_finished() {
    let directory = Directory::new();
    let file = WriteFile::tsv(directory.at("a.tsv"));
    let mut state = file.init();
    file.react(&mut state, 1, &mut nothing()).expect("written");
    assert_eq!(directory.names().len(), 1);
    drop(state);
    assert!(directory.names().is_empty());
}

#[test]
fn nothing_is_left_after_a_record_that_does_not_fit() {
    let directory = Directory::new();
    let path = directory.at("a.tsv");
    fs::write(&path, "old").expect("a file");
    let file = WriteFile::tsv(&path);
    let mut state = file.init();
    file.react(&mut state, ("a", Some(vec![1])), &mut nothing()).expect_err("refused");
    let again = file.react(&mut state, ("a", Some(vec![1])), &mut nothing());
    let message = "cannot write `DIR/a.tsv`: field 2 of the record is a sequence; \
                   a row takes text, numbers and booleans only";
    assert_eq!(directory.error(again), message);
    // Others do fit, and are written without a trace of it, if whoever runs the operation goes on.
    file.react(&mut state, ("b", None), &mut nothing()).expect("written");
    assert!(file.flush(&mut state).is_ok());
    let hidden = directory.names().into_iter().find(|name| name != "a.tsv").expect("a hidden file");
    assert_eq!(fs::read_to_string(directory.at(&hidden)).ok().as_deref(), Some("b\t\n"));
    drop(state);
    assert_eq!(directory.names(), ["a.tsv"]);
    assert_eq!(fs::read_to_string(&path).ok().as_deref(), Some("old"));
}

#[test]
fn bad_paths_are_found_before_the_start() {
    let directory = Directory::new();
    fs::write(directory.at("file"), "").expect("a file");
    let conf = |path: PathBuf| directory.error(WriteFile::<u64>::tsv(path).conf());
    assert_eq!(conf(directory.at(".")), "cannot write `DIR/.`: it is a directory; name a file in it");
    assert_eq!(
        conf(directory.at("no/a.tsv")),
        "cannot write `DIR/no/a.tsv`: directory `DIR/no`: No such file or directory"
    );
    assert_eq!(conf(directory.at("file/a.tsv")), "cannot write `DIR/file/a.tsv`: Not a directory");
    assert_eq!(conf(directory.at("new/")), "cannot write `DIR/new/`: it is not the name of a file");
    assert!(WriteFile::<u64>::tsv("").check().is_err());
    assert!(WriteFile::<u64>::tsv("a.tsv").check().is_ok());
    assert!(WriteFile::<u64>::tsv(directory.at("a.tsv")).conf().is_ok());
    assert_eq!(directory.names(), ["file"], "to look leaves nothing");
    // Without `conf` the same is found when the file is written.
    let late = write(&WriteFile::tsv(directory.at("no/a.tsv")), [1]);
    assert_eq!(directory.error(late), "cannot write `DIR/no/a.tsv`: directory `DIR/no`: No such file or directory");
}

#[test]
fn what_may_not_be_written_is_found_before_the_start() {
    let directory = Directory::new();
    fs::write(directory.at("file"), "").expect("a file");
    fs::set_permissions(directory.at("file"), fs::Permissions::from_mode(0o400)).expect("permissions");
    if fs::File::options().append(true).open(directory.at("file")).is_ok() {
        return; // Root writes everything.
    }
    let conf = |name| directory.error(WriteFile::<u64>::tsv(directory.at(name)).conf());
    assert_eq!(conf("file"), "cannot write `DIR/file`: Permission denied");
    fs::set_permissions(directory.0.path(), fs::Permissions::from_mode(0o500)).expect("permissions");
    assert_eq!(conf("a.tsv"), "cannot write `DIR/a.tsv`: Permission denied");
    fs::set_permissions(directory.0.path(), fs::Permissions::from_mode(0o700)).expect("permissions");
}

#[test]
fn a_full_disk_is_named() {
    let file = WriteFile::tsv("/dev/full");
    assert!(WriteFile::<u64>::tsv("/dev/full").conf().is_ok());
    let message = "cannot write `/dev/full`: No space left on device";
    assert_eq!(write(&file, [1u64]), Err(Error::Outside(message.to_owned())));
    // Found as soon as a buffer is full.
    let mut state = file.init();
    let failed = (0..50_000u64).find_map(|n| file.react(&mut state, n, &mut nothing()).err());
    assert_eq!(failed, Some(Error::Outside(message.to_owned())));
}

#[test]
fn a_special_file_is_written_directly() {
    write(&WriteFile::tsv("/dev/null"), [1]).expect("written");
    assert!(!fs::metadata("/dev/null").expect("a device").is_file());

    // An open file of this process, as `/dev/stdout` is one: what is in it stays.
    let directory = Directory::new();
    fs::write(directory.at("a.tsv"), "header\n").expect("a file");
    let open = fs::File::open(directory.at("a.tsv")).expect("a file");
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
    write(&WriteFile::tsv(path), [1]).expect("written");
    assert_eq!(read(&directory.at("a.tsv")), "header\n1\n");
    assert_eq!(directory.names(), ["a.tsv"]);
}

#[test]
fn two_workers_do_not_write_one_file() {
    let directory = Directory::new();
    let file = WriteFile::tsv(directory.at("a.tsv"));
    let other = file.clone();
    let (mut one, two) = (file.init(), other.init());
    let refused = directory.error(file.react(&mut one, 1, &mut nothing()));
    assert!(refused.contains("several workers"), "{refused}");
    drop((one, two));
    write(&file, [1]).expect("one after the other is as good as one");
}
