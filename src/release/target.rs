//! What a release is built for, and where it then runs.

use std::path::Path;

use super::elf::{self, Needs};
use super::error::ReleaseError;
use super::tools::Tools;

/// The target to build for when none is named: the machine's own; or, on Linux, its musl, where Rust has its library
/// and there is a C compiler for it, because what is linked to that runs on every Linux.
pub fn usual(tools: &Tools, directory: &Path) -> Result<String, ReleaseError> {
    let said = tools.rustc(directory, &["-vV"])?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).ok_or_else(|| ReleaseError::Tool {
        command: "rustc -vV".to_owned(),
        said: "it does not name its host".to_owned(),
    })?;
    Ok(choose(host, |musl| {
        let library = tools.rustc(directory, &["--print", "target-libdir", "--target", musl]);
        library.is_ok_and(|path| Path::new(path.trim()).is_dir()) && tools.has_compiler(musl)
    }))
}

fn choose(host: &str, is_there: impl FnOnce(&str) -> bool) -> String {
    let musl = host.strip_suffix("-linux-gnu").map(|machine| format!("{machine}-linux-musl"));
    musl.filter(|musl| is_there(musl)).unwrap_or_else(|| host.to_owned())
}

/// Says what a program runs on.
pub fn runs_on(target: &str, program: &[u8]) -> String {
    let processor = target.split('-').next().unwrap_or(target);
    match elf::needs(program) {
        Some(Needs { libraries: false, .. }) => format!("any Linux ({processor}), because it is linked statically"),
        Some(Needs { glibc: Some((major, minor)), .. }) => {
            format!("Linux ({processor}) with glibc {major}.{minor} or newer (`ldd --version` shows it)")
        }
        Some(_) | None => format!("systems as the one that it was built on ({target})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn musl_is_taken_where_it_is_whole() {
        let (gnu, musl) = ("aarch64-unknown-linux-gnu", "aarch64-unknown-linux-musl");
        assert_eq!(choose(gnu, |target| target == musl), musl);
        assert_eq!(choose(gnu, |_| false), gnu);
        for other in ["aarch64-apple-darwin", musl] {
            assert_eq!(choose(other, |_| true), other);
        }
    }

    #[test]
    fn the_machine_has_a_target() {
        let tools = Tools::new(&|name| std::env::var_os(name)).expect("tools");
        let target = usual(&tools, Path::new("/")).expect("a target");
        assert!(target.starts_with(std::env::consts::ARCH), "{target}");
    }

    #[test]
    fn what_a_program_runs_on_is_said() {
        let other = runs_on("aarch64-apple-darwin", b"\xcf\xfa\xed\xfe");
        assert_eq!(other, "systems as the one that it was built on (aarch64-apple-darwin)");
        let header = [b"\x7fELF\x02\x01".as_slice(), &[0; 100]].concat();
        let text = runs_on("x86_64-unknown-linux-musl", &header);
        assert_eq!(text, "any Linux (x86_64), because it is linked statically");
    }
}
