//! Releases that are whole, that are damaged, and that mean harm.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::Header;
use tempfile::TempDir;

use super::*;
use crate::release::archive;
use crate::release::contents::sample;

/// A directory, and in it a release, unpacked.
fn unpacked() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().expect("a directory");
    let (manifest, files) = sample();
    let directory = place.path().join(manifest.directory());
    for file in files {
        let path = directory.join(&file.path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, file.bytes).expect("written");
        let mode = if file.executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    }
    (place, directory)
}

fn tarball() -> Vec<u8> {
    let (manifest, files) = sample();
    archive::write(Vec::new(), &manifest.directory(), &files, 7).expect("a tarball")
}

/// What is compressed in it.
fn plain(tarball: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(tarball).read_to_end(&mut plain).expect("unpacked");
    plain
}

/// What is wrong with a tarball: the reason that it is none, or its faults.
fn wrong(tarball: &[u8]) -> Result<Vec<String>, String> {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("x.tar.gz");
    fs::write(&path, tarball).expect("written");
    let result = faults(&path);
    assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 1, "nothing has been written");
    result
}

fn faults(path: &Path) -> Result<Vec<String>, String> {
    match verify(path) {
        Ok(manifest) => {
            assert_eq!(manifest, sample().0);
            Ok(Vec::new())
        }
        Err(ReleaseError::Broken { faults, .. }) => Ok(faults.iter().map(ToString::to_string).collect()),
        Err(ReleaseError::Unusable { reason, .. }) => Err(reason),
        Err(other) => panic!("{other}"),
    }
}

/// Packs entries that nobody would make by mistake.
fn packed(entries: &[(EntryType, &[u8], &[u8])]) -> Vec<u8> {
    let mut tarball = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (kind, path, text) in entries {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_size(text.len() as u64);
        header.set_cksum();
        tarball.append(&header, *text).expect("packed");
    }
    tarball.into_inner().expect("packed").finish().expect("packed")
}

#[test]
fn a_release_is_whole() {
    assert_eq!(wrong(&tarball()), Ok(Vec::new()));
    let (_place, directory) = unpacked();
    assert_eq!(faults(&directory), Ok(Vec::new()));
    // What nodes write there is no fault.
    fs::create_dir(directory.join("logs")).expect("made");
    fs::write(directory.join("logs/w@h.log"), "x").expect("written");
    assert_eq!(faults(&directory), Ok(Vec::new()));
}

#[test]
fn a_tarball_of_others_is_read_too() {
    let (manifest, files) = sample();
    let top = manifest.directory();
    let paths: Vec<_> = files.iter().map(|file| format!("{top}/{}", file.path)).collect();
    let directories = [format!("{top}/"), format!("{top}/bin/")];
    let directories = directories.iter().map(|path| (EntryType::Directory, path.as_bytes(), &b""[..]));
    let files =
        paths.iter().zip(&files).map(|(path, file)| (EntryType::Regular, path.as_bytes(), file.bytes.as_slice()));
    assert_eq!(wrong(&packed(&directories.chain(files).collect::<Vec<_>>())), Ok(Vec::new()));
}

#[test]
fn a_release_is_of_the_build_that_it_says() {
    let (_place, directory) = unpacked();
    let mut manifest = sample().0;
    manifest.build = "0".repeat(64);
    fs::write(directory.join(MANIFEST), manifest.text().expect("a text")).expect("written");
    let faults = faults(&directory).expect("a release");
    assert!(matches!(&faults[..], [fault] if fault.starts_with("`bin/skitter` is the build ")), "{faults:?}");
    assert!(faults[0].ends_with("…, not 00000000…"), "{faults:?}");
}

#[test]
fn all_that_is_wrong_with_a_directory_is_named() {
    let (_place, directory) = unpacked();
    fs::write(directory.join("bin/skitter"), "#!/bin/zh\n").expect("written");
    fs::write(directory.join("README.md"), "x").expect("written");
    fs::remove_file(directory.join("skitter.toml")).expect("removed");
    fs::write(directory.join("bin/skitter.old"), "").expect("written");
    fs::create_dir_all(directory.join("a/b")).expect("made");
    fs::write(directory.join("a/b/\u{1b}c"), "").expect("written");
    fs::remove_file(directory.join("LICENSES.txt")).expect("removed");
    symlink("/etc/passwd", directory.join("LICENSES.txt")).expect("a link");
    let readme = sample().0.files["README.md"].size;
    let expected = [
        "`skitter.toml` is missing".to_owned(),
        "`a/b/\\u{1b}c` does not belong to it".to_owned(),
        "`bin/skitter.old` does not belong to it".to_owned(),
        "`LICENSES.txt` is no file, but a link or something else".to_owned(),
        format!("`README.md` has 1 bytes, not {readme}"),
        "`bin/skitter` has other contents".to_owned(),
    ];
    assert_eq!(faults(&directory), Ok(expected.to_vec()));

    let (_place, directory) = unpacked();
    fs::set_permissions(directory.join(PROGRAM), fs::Permissions::from_mode(0o644)).expect("set");
    assert_eq!(faults(&directory), Ok(vec!["`bin/skitter` cannot be run: its permissions are missing".to_owned()]));
}

#[test]
fn what_is_wrong_with_a_tarball_is_named() {
    let (manifest, mut files) = sample();
    let top = manifest.directory();
    files.retain(|file| file.path != "README.md");
    files.iter_mut().filter(|file| file.path == PROGRAM).for_each(|file| file.executable = false);
    files.iter_mut().filter(|file| file.path == "skitter.toml").for_each(|file| file.bytes[0] ^= 1);
    files.push(archive::File { path: "more".to_owned(), executable: false, bytes: Vec::new() });
    let tarball = archive::write(Vec::new(), &top, &files, 7).expect("a tarball");
    let expected = [
        "`README.md` is missing",
        "`more` does not belong to it",
        "`bin/skitter` cannot be run: its permissions are missing",
        "`skitter.toml` has other contents",
    ];
    assert_eq!(wrong(&tarball), Ok(expected.map(str::to_owned).to_vec()));
    let tarball = archive::write(Vec::new(), "other-1", &sample().1, 7).expect("a tarball");
    assert_eq!(wrong(&tarball), Err("it unpacks to `other-1`, not to `hello-0.2.0`".to_owned()));
}

#[test]
fn what_is_no_release_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    assert_eq!(faults(place.path()), Err("there is no RELEASE.json in it".to_owned()));
    assert!(faults(Path::new("/dev/null")).expect_err("a device").contains("neither a file nor a directory"));
    for (bytes, part) in [
        (&b""[..], "cannot be read to its end"),
        (b"hello", "cannot be read to its end"),
        (&packed(&[]), "there is no RELEASE.json in it"),
        (&packed(&[(EntryType::Regular, b"x/RELEASE.json", b"{}")]), "RELEASE.json: missing field"),
        (&packed(&[(EntryType::Regular, b"RELEASE.json", b"{}")]), "there is no RELEASE.json in it"),
    ] {
        let said = wrong(bytes).expect_err(part);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_tarball_that_is_cut_is_refused_wherever_it_is_cut() {
    let whole = tarball();
    for length in 0..whole.len() {
        let said = wrong(&whole[..length]).expect_err("it is cut");
        assert!(said.contains("cannot be read to its end"), "{length}: {said}");
    }
    let longer = [&whole[..], b"x"].concat();
    assert_eq!(wrong(&longer), Err("there is something behind its end".to_owned()));
    assert_eq!(wrong(&[&whole[..], &whole].concat()), Err("there is something behind its end".to_owned()));
    // What stands behind the last entry is not unpacked, but it is not looked at by anybody either.
    let mut plain = plain(&whole);
    plain.extend(b"hidden");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&plain).expect("packed");
    let said = wrong(&gzip.finish().expect("packed"));
    assert_eq!(said, Err("there is something behind its last file".to_owned()));
}

#[test]
fn entries_that_mean_harm_are_refused() {
    let file = EntryType::Regular;
    for (kind, path, part) in [
        (file, &b"../x"[..], "leads out"),
        (file, b"/etc/x", "leads out"),
        (file, b"hello-0.2.0/../../x", "leads out"),
        (file, b"hello-0.2.0//x", "leads out"),
        (file, b"other/x", "leads out"),
        (file, b"hello-0.2.0/\xff", "is not UTF-8"),
        (file, b"hello-0.2.0/RELEASE.json", "is in it twice"),
        (file, b"hello-0.2.0/bin/skitter", "is in it twice"),
        (EntryType::Directory, b"../x/", "leads out"),
        (EntryType::Symlink, b"hello-0.2.0/x", "neither a file nor a directory"),
        (EntryType::Link, b"hello-0.2.0/x", "neither a file nor a directory"),
        (EntryType::Char, b"hello-0.2.0/x", "neither a file nor a directory"),
        (EntryType::Fifo, b"hello-0.2.0/x", "neither a file nor a directory"),
        (EntryType::GNULongName, b"hello-0.2.0/x", "neither a file nor a directory"),
        (EntryType::XHeader, b"hello-0.2.0/x", "neither a file nor a directory"),
        (EntryType::GNUSparse, b"hello-0.2.0/x", "neither a file nor a directory"),
    ] {
        let (manifest, files) = sample();
        let paths: Vec<_> = files.iter().map(|file| format!("{}/{}", manifest.directory(), file.path)).collect();
        let mut entries: Vec<_> =
            paths.iter().zip(&files).map(|(path, of)| (file, path.as_bytes(), of.bytes.as_slice())).collect();
        entries.push((kind, path, b""));
        let said = wrong(&packed(&entries)).expect_err(part);
        assert!(said.contains(part), "{path:?}: {said}");
        assert!(said.chars().all(|c| !c.is_control()), "{said:?}");
    }
}

#[test]
fn absurd_sizes_cost_nothing() {
    // A header that promises 8 GiB, and has nothing.
    let mut header = Header::new_ustar();
    header.set_path("hello-0.2.0/x").expect("a path");
    header.set_size(0o777_7777_7777);
    header.set_cksum();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(header.as_bytes()).expect("packed");
    assert!(wrong(&gzip.finish().expect("packed")).expect_err("cut").contains("cannot be read to its end"));
    // One that says that it is larger than any number.
    header.as_old_mut().size = [0xff; 12];
    header.set_cksum();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(header.as_bytes()).expect("packed");
    assert!(wrong(&gzip.finish().expect("packed")).is_err());
    // A manifest that has a size that no manifest has is not kept.
    let large = vec![b' '; MOST_MANIFEST as usize + 10];
    let said = wrong(&packed(&[(EntryType::Regular, b"hello-0.2.0/RELEASE.json", &large)])).expect_err("large");
    assert!(said.contains("RELEASE.json has more than"), "{said}");
}

#[test]
fn what_unpacks_without_end_is_given_up() {
    let mut limited = Limited { from: io::repeat(0), left: 1000 };
    let said = io::copy(&mut limited, &mut io::sink()).expect_err("no end").to_string();
    assert!(said.contains("it unpacks to more than"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_tarball_is_never_taken_for_whole(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let whole = tarball();
        let mut damaged = whole.clone();
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        // Some bits mean nothing: the time in the header of gzip, and those that fill the last byte.
        prop_assert!(wrong(&damaged) != Ok(Vec::new()) || plain(&damaged) == plain(&whole));
    }

    #[test]
    fn any_headers_are_no_harm(changes in prop::collection::vec((0usize..1024, any::<u8>()), 1..8)) {
        let mut plain = plain(&tarball());
        changes.into_iter().for_each(|(at, byte)| plain[at] = byte);
        // With the sum put right, so that what else is wrong is looked at.
        plain[148..156].fill(b' ');
        let sum: u32 = plain[..512].iter().copied().map(u32::from).sum();
        plain[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&plain).expect("packed");
        let _ = wrong(&gzip.finish().expect("packed"));
    }
}
