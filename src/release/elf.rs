//! What a program for Linux needs of the system: whether it is linked statically, and the version of glibc.
//!
//! Source: the System V ABI (ELF-64), and the Linux Standard Base for `.gnu.version_r`, in which a program lists the
//! versions of symbols that it needs of its libraries.

/// The program header of the dynamic linker.
const INTERPRETER: u32 = 3;
/// The section of needed versions.
const NEEDED_VERSIONS: u32 = 0x6fff_fffe;
/// Most entries that are looked at of a list whose length the file says.
const MOST: usize = 4096;

/// What a program needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whether it is started by a dynamic linker, so needs libraries of the system.
    pub libraries: bool,
    /// The glibc that it needs, or a newer one.
    pub glibc: Option<(u32, u32)>,
}

/// Reads it from the bytes of a program; none if it is no 64-bit little-endian ELF file, or a broken one.
pub fn needs(program: &[u8]) -> Option<Needs> {
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let headers = Table::new(program, word(program, 32)?, half(program, 54)?, half(program, 56)?);
    let libraries = headers.entries().any(|header| int(header, 0) == Some(INTERPRETER));
    let sections = Table::new(program, word(program, 40)?, half(program, 58)?, half(program, 60)?);
    let mut glibc = None;
    for section in sections.entries().filter(|section| int(section, 4) == Some(NEEDED_VERSIONS)) {
        let list = contents(program, section)?;
        let names = contents(program, sections.entries().nth(int(section, 40)? as usize)?)?;
        glibc = glibc.max(newest(list, names));
    }
    Some(Needs { libraries, glibc })
}

/// The newest version of glibc in a list of files, each with a list of versions.
fn newest(list: &[u8], names: &[u8]) -> Option<(u32, u32)> {
    let (mut newest, mut file) = (None, 0usize);
    for _ in 0..MOST {
        let mut version = file.checked_add(int(list, file.checked_add(8)?)? as usize)?;
        for _ in 0..MOST {
            let name = int(list, version.checked_add(8)?)? as usize;
            newest = newest.max(text(names, name).and_then(glibc));
            match int(list, version + 12)? {
                0 => break,
                next => version = version.checked_add(next as usize)?,
            }
        }
        match int(list, file + 12)? {
            0 => return newest,
            next => file = file.checked_add(next as usize)?,
        }
    }
    newest
}

/// `GLIBC_2.34`.
fn glibc(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("GLIBC_")?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Equal entries, one behind the other.
struct Table<'a> {
    bytes: &'a [u8],
    size: usize,
    count: usize,
}

impl<'a> Table<'a> {
    fn new(program: &'a [u8], at: u64, size: u16, count: u16) -> Table<'a> {
        let bytes = usize::try_from(at).ok().and_then(|at| program.get(at..)).unwrap_or_default();
        Table { bytes, size: usize::from(size).max(1), count: usize::from(count) }
    }

    fn entries(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bytes.chunks_exact(self.size).take(self.count)
    }
}

fn contents<'a>(program: &'a [u8], section: &[u8]) -> Option<&'a [u8]> {
    let begin = usize::try_from(word(section, 24)?).ok()?;
    let size = usize::try_from(word(section, 32)?).ok()?;
    program.get(begin..begin.checked_add(size)?)
}

fn text(names: &[u8], at: usize) -> Option<&str> {
    let name = names.get(at..)?;
    std::str::from_utf8(&name[..name.iter().position(|byte| *byte == 0)?]).ok()
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn half(from: &[u8], at: usize) -> Option<u16> {
    bytes(from, at).map(u16::from_le_bytes)
}

fn int(from: &[u8], at: usize) -> Option<u32> {
    bytes(from, at).map(u32::from_le_bytes)
}

fn word(from: &[u8], at: usize) -> Option<u64> {
    bytes(from, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;

    use super::*;

    fn own() -> Vec<u8> {
        std::fs::read(std::env::current_exe().expect("a path")).expect("a program")
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64", target_endian = "little"))]
    fn a_program_says_which_glibc_it_needs() {
        let program = own();
        let needs = needs(&program).expect("an ELF file");
        let Some((2, newest)) = needs.glibc else { panic!("{needs:?}") };
        assert!(needs.libraries);
        // What is needed is said in the file, in its first pages, and what is not said is not needed.
        let names = &program[..1 << 20];
        let said = |minor: u32| {
            let name = format!("\0GLIBC_2.{minor}\0");
            memchr::memmem::find(names, name.as_bytes()).is_some()
        };
        assert!(said(newest), "{newest}");
        let newer: Vec<_> = (newest + 1..100).filter(|minor| said(*minor)).collect();
        assert_eq!(newer, [0; 0]);
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(glibc("GLIBC_2.34"), Some((2, 34)));
        assert_eq!(glibc("GLIBC_2.2.5"), Some((2, 2)));
        assert!(glibc("GLIBC_2.34") > glibc("GLIBC_2.4"));
        for other in ["GLIBC_PRIVATE", "GLIBC_2", "GCC_3.0", ""] {
            assert_eq!(glibc(other), None);
        }
    }

    #[test]
    fn other_files_need_nothing_that_is_known() {
        for other in [&b""[..], b"#!/bin/sh", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01"] {
            assert_eq!(needs(other), None);
        }
        assert_eq!(needs(&[b"\x7fELF\x02\x01".as_slice(), &[0; 100]].concat()), Some(Needs::default()));
    }

    proptest! {
        #[test]
        fn a_broken_file_is_no_harm(changes in prop::collection::vec((0usize..4096, any::<u8>()), 1..20)) {
            // The first page has the headers.
            static BEGIN: OnceLock<Vec<u8>> = OnceLock::new();
            let mut program = BEGIN.get_or_init(|| own()[..1 << 16].to_vec()).clone();
            for (at, byte) in changes {
                program[at] = byte;
            }
            let _ = needs(&program);
        }

        #[test]
        fn a_broken_list_is_no_harm(list in prop::collection::vec(0u8..20, 0..200), names in "[A-Z0-9_.\0]{0,20}") {
            let _ = newest(&list, names.as_bytes());
        }
    }
}
