//! The programs that build: cargo, rustc, git.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::ReleaseError;

/// The latest time that a tarball's header has room for, in seconds since 1970: eleven octal digits.
const LATEST: u64 = 0o777_7777_7777;

/// What builds an application, as the environment names it.
///
/// None of these programs is given a time: cargo and rustc may download a toolchain or compile for many minutes, and
/// say so on stderr to whoever waits, who can end them as he ends this program.
#[derive(Clone, Debug)]
pub struct Tools {
    cargo: OsString,
    rustc: OsString,
    search: Vec<PathBuf>,
    /// Targets for which a C compiler is named.
    compilers: Vec<String>,
    epoch: Option<u64>,
}

impl Tools {
    /// The tools that variables name: `CARGO`, `RUSTC`, `PATH`, `CC_<target>`; `SOURCE_DATE_EPOCH` is the time of all
    /// files, in seconds since 1970.
    ///
    /// # Errors
    /// When `SOURCE_DATE_EPOCH` is no time.
    pub fn new(environment: &dyn Fn(&str) -> Option<OsString>) -> Result<Tools, ReleaseError> {
        let named = |name: &str| environment(name).filter(|value| !value.is_empty());
        let epoch = named("SOURCE_DATE_EPOCH").map(|value| {
            let seconds = value.to_str().and_then(|text| text.parse().ok()).filter(|seconds| *seconds <= LATEST);
            seconds.ok_or_else(|| {
                let value = value.to_string_lossy();
                ReleaseError::Usage(format!("SOURCE_DATE_EPOCH=`{value}` is no time in seconds since 1970"))
            })
        });
        let musl = ["x86_64", "aarch64"].map(|processor| format!("{processor}-unknown-linux-musl"));
        let named_for = |target: &String| {
            ["CC_", "TARGET_"].iter().any(|prefix| named(&format!("{prefix}{}", target.replace('-', "_"))).is_some())
                || named(&format!("CC_{target}")).is_some()
        };
        Ok(Tools {
            cargo: named("CARGO").unwrap_or_else(|| "cargo".into()),
            rustc: named("RUSTC").unwrap_or_else(|| "rustc".into()),
            search: named("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
            compilers: musl.into_iter().filter(named_for).collect(),
            epoch: epoch.transpose()?,
        })
    }

    /// Cargo, to be run in this directory.
    pub(super) fn cargo(&self, directory: &Path) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(directory).stdin(Stdio::null());
        command
    }

    /// What rustc answers in this directory.
    pub(super) fn rustc(&self, directory: &Path, arguments: &[&str]) -> Result<String, ReleaseError> {
        let mut command = Command::new(&self.rustc);
        command.args(arguments).current_dir(directory).stdin(Stdio::null());
        ask(command)
    }

    /// Whether C code can be compiled for this target of musl, as its allocator and its hash are.
    pub(super) fn has_compiler(&self, target: &str) -> bool {
        let processor = target.split('-').next().unwrap_or_default();
        let programs = [format!("{processor}-linux-musl-gcc"), "musl-gcc".to_owned()];
        let is_there = |program: &String| self.search.iter().any(|directory| directory.join(program).is_file());
        self.compilers.iter().any(|named| named == target) || programs.iter().any(is_there)
    }

    /// The time of all files of a release: what the environment says, or when the newest commit was made, or 0.
    pub(super) fn time(&self, directory: &Path) -> u64 {
        let committed = || {
            let mut git = Command::new("git");
            git.args(["log", "-1", "--format=%ct"]).current_dir(directory).stdin(Stdio::null());
            ask(git).ok()?.trim().parse().ok().filter(|seconds| *seconds <= LATEST)
        };
        self.epoch.or_else(committed).unwrap_or(0)
    }
}

/// Runs a program to its end and gives what it wrote to stdout.
pub(super) fn ask(mut command: Command) -> Result<String, ReleaseError> {
    let output = command.output().map_err(|error| unstarted(command.get_program(), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let command = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let said = if said.is_empty() { output.status.to_string() } else { said };
    Err(ReleaseError::Tool { command, said })
}

/// Why a program does not start.
pub(super) fn unstarted(program: &OsStr, source: io::Error) -> ReleaseError {
    let program = program.to_string_lossy().into_owned();
    match source.kind() {
        io::ErrorKind::NotFound => ReleaseError::NoTool(program),
        _ => ReleaseError::Run { program, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(variables: &[(&str, &str)]) -> Result<Tools, String> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Tools::new(&value).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_names_tools_and_time() {
        let named = tools(&[("CARGO", "/c/cargo"), ("SOURCE_DATE_EPOCH", "1700000000")]).expect("tools");
        assert_eq!((named.cargo.to_str(), named.rustc.to_str()), (Some("/c/cargo"), Some("rustc")));
        assert_eq!(named.time(Path::new("/")), 1_700_000_000);
        for wrong in ["yesterday", "-1", "8589934592"] {
            let said = tools(&[("SOURCE_DATE_EPOCH", wrong)]).expect_err(wrong);
            assert_eq!(said, format!("SOURCE_DATE_EPOCH=`{wrong}` is no time in seconds since 1970"));
        }
        let nowhere = tempfile::tempdir().expect("a directory");
        assert_eq!(tools(&[]).expect("tools").time(nowhere.path()), 0, "there is no commit");
    }

    #[test]
    fn a_compiler_for_musl_is_named_or_found() {
        let musl = "x86_64-unknown-linux-musl";
        let path = tempfile::tempdir().expect("a directory");
        let search = path.path().to_str().expect("UTF-8");
        assert!(!tools(&[("PATH", search)]).expect("tools").has_compiler(musl));
        let named = tools(&[("CC_x86_64_unknown_linux_musl", "clang")]).expect("tools");
        assert!(named.has_compiler(musl) && !named.has_compiler("aarch64-unknown-linux-musl"));
        std::fs::write(path.path().join("musl-gcc"), "").expect("written");
        assert!(tools(&[("PATH", search)]).expect("tools").has_compiler(musl));
    }

    #[test]
    fn a_tool_that_is_not_there_is_named() {
        let nowhere = tools(&[("RUSTC", "/nowhere/rustc")]).expect("tools");
        let said = nowhere.rustc(Path::new("/"), &["-vV"]).expect_err("no rustc").to_string();
        assert!(said.starts_with("there is no `/nowhere/rustc` on this machine"), "{said}");
        let fails = tools(&[("RUSTC", "false")]).expect("tools");
        let said = fails.rustc(Path::new("/"), &["-vV"]).expect_err("it fails").to_string();
        assert_eq!(said, "`false -vV` failed: exit status: 1");
    }
}
