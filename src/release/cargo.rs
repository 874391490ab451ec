//! The package of an application, and how cargo builds it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;

use super::error::ReleaseError;
use super::tools::{Tools, ask, unstarted};

/// Most bytes of what cargo says of a build: a thousand for each of ten thousand crates.
const MOST_SAID: u64 = 64 << 20;

/// Where a release is built, in cargo's directory for what it builds. Not where everything else is, because there C
/// code (the allocator's is) may have been compiled that says when that was.
const PLACE: &str = "skitter-release";

/// When such code says that it was compiled, in seconds since 1970: not when the commit was made, because what an
/// earlier commit has compiled is used again.
const COMPILED: &str = "0";

/// The package of Skitter itself.
const SKITTER: &str = "skitter";

/// The package that is released, and the program of it.
#[derive(Debug)]
pub struct Project {
    /// The name of the package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The name of the program.
    program: String,
    manifest: PathBuf,
    /// Where cargo puts what it builds.
    target: PathBuf,
    /// Whether the dependencies are pinned.
    locked: bool,
}

/// What has been built.
#[derive(Debug)]
pub struct Built {
    /// The program.
    pub program: PathBuf,
    /// The version of Skitter in it.
    pub skitter: String,
    /// The manifests of the packages that it is made of, but for the application's own.
    pub parts: Vec<PathBuf>,
}

/// What `cargo metadata` says, as far as it matters.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
    default_run: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Target {
    fn is_program(&self) -> bool {
        self.kind.iter().any(|kind| kind == "bin")
    }
}

/// What cargo says of each crate that it has built, or has built before.
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    executable: Option<PathBuf>,
}

impl Project {
    /// The package that this directory is in, and its program of this name; without one, the only program, or the one
    /// that `cargo run` would run.
    ///
    /// # Errors
    /// When there is no cargo, no package, no program, or not one that is meant.
    pub fn find(tools: &Tools, directory: &Path, program: Option<&str>) -> Result<Project, ReleaseError> {
        let mut locate = tools.cargo(directory);
        locate.args(["locate-project", "--message-format", "plain"]);
        let manifest = ask(locate).map_err(|error| match error {
            ReleaseError::Tool { said, .. } => {
                let what = "a release is made in the directory of an application's package; `skitter new` makes one";
                ReleaseError::Usage(format!("{}; {what}", said.trim_start_matches("error: ")))
            }
            error => error,
        })?;
        let manifest = PathBuf::from(manifest.trim_end_matches('\n'));
        let mut describe = tools.cargo(directory);
        describe.args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: Metadata =
            serde_json::from_str(&ask(describe)?).map_err(|error| strange("metadata", &error.to_string()))?;
        let locked = metadata.workspace_root.join("Cargo.lock").is_file();
        let package = metadata.packages.into_iter().find(|package| package.manifest_path == manifest);
        let package = package.ok_or_else(|| {
            let manifest = manifest.display();
            ReleaseError::Usage(format!("`{manifest}` is a workspace, not a package; go to that of the application"))
        })?;
        let program = choose(&package, program).map_err(ReleaseError::Usage)?;
        let target = metadata.target_directory;
        Ok(Project { name: package.name, version: package.version, program, manifest, target, locked })
    }

    /// The directory of the package.
    pub fn directory(&self) -> &Path {
        self.manifest.parent().unwrap_or(Path::new("."))
    }

    /// Builds the program by the release profile, without what debuggers need. What cargo says goes to stderr.
    ///
    /// The target is always named, because then what is built for it (and not for the build itself, as macros are) has
    /// a directory of its own.
    ///
    /// # Errors
    /// When it does not build, or is no program of Skitter's.
    pub fn build(&self, tools: &Tools, target: &str) -> Result<Built, ReleaseError> {
        let mut cargo = tools.cargo(self.directory());
        cargo.args(["build", "--release", "--message-format", "json-render-diagnostics"]);
        cargo.args(["--target", target, "--bin", &self.program, "--config", "profile.release.debug=false"]);
        cargo.arg("--manifest-path").arg(&self.manifest).arg("--target-dir").arg(self.target.join(PLACE));
        cargo.env("SOURCE_DATE_EPOCH", COMPILED);
        if self.locked {
            cargo.arg("--locked");
        }
        let mut child = cargo.stdout(Stdio::piped()).spawn().map_err(|error| unstarted(cargo.get_program(), error))?;
        let mut said = String::new();
        let read = match child.stdout.take() {
            Some(stdout) => stdout.take(MOST_SAID).read_to_string(&mut said),
            None => Ok(0),
        };
        let run = |source| ReleaseError::Run { program: "cargo build".to_owned(), source };
        let status = child.wait().map_err(run)?;
        if !status.success() {
            return Err(ReleaseError::Build(format!("cargo: {status}")));
        }
        read.map_err(run)?;
        self.understand(&said, target)
    }

    /// What was built, by what cargo says.
    fn understand(&self, said: &str, target: &str) -> Result<Built, ReleaseError> {
        let (mut program, mut skitter, mut parts) = (None, None, Vec::new());
        for line in said.lines() {
            let message: Message = serde_json::from_str(line).map_err(|error| strange("build", &error.to_string()))?;
            if message.reason != "compiler-artifact" {
                continue;
            }
            let Message { package_id: Some(id), manifest_path: Some(manifest), target: Some(of), .. } = message else {
                return Err(strange("build", "it does not say of what package an artifact is"));
            };
            if id_parts(&id).0 == SKITTER {
                skitter = Some(id_parts(&id).1.to_owned());
            }
            if manifest == self.manifest {
                let is_it = of.is_program() && of.name == self.program;
                program = program.or(message.executable.filter(|_| is_it));
            } else if message.filenames.iter().any(|file| file.iter().any(|part| part == target)) {
                parts.push(manifest);
            }
        }
        parts.sort();
        parts.dedup();
        let program = program.ok_or_else(|| strange("build", "it has not built the program"))?;
        let skitter = skitter.ok_or_else(|| {
            let Project { name, .. } = self;
            ReleaseError::Usage(format!("`{name}` does not depend on `{SKITTER}`, so its program is no node"))
        })?;
        Ok(Built { program, skitter, parts })
    }
}

/// The name of the program that is meant.
fn choose(package: &Package, named: Option<&str>) -> Result<String, String> {
    let programs: Vec<&str> =
        package.targets.iter().filter(|target| target.is_program()).map(|target| target.name.as_str()).collect();
    let of = &package.name;
    match (named, package.default_run.as_deref(), programs.as_slice()) {
        (_, _, []) => {
            Err(format!("package `{of}` has no program; it needs a `src/main.rs` that calls `skitter::main`"))
        }
        (Some(named), _, programs) if programs.contains(&named) => Ok(named.to_owned()),
        (Some(named), _, programs) => {
            Err(format!("package `{of}` has no program `{named}` (there is {})", programs.join(", ")))
        }
        (None, Some(usual), _) => Ok(usual.to_owned()),
        (None, None, [only]) => Ok((*only).to_owned()),
        (None, None, several) => {
            let names = several.join(", ");
            Err(format!("package `{of}` has several programs ({names}); say by --bin which one has the workflows"))
        }
    }
}

/// Name and version of a package, from its identity: `…#name@version`, or `…/name#version` where the place ends in the
/// name.
fn id_parts(id: &str) -> (&str, &str) {
    let (place, rest) = id.rsplit_once('#').unwrap_or((id, ""));
    rest.split_once('@').unwrap_or_else(|| (place.rsplit('/').next().unwrap_or(place), rest))
}

fn strange(command: &str, said: &str) -> ReleaseError {
    ReleaseError::Tool { command: format!("cargo {command}"), said: format!("its output is not understood: {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(programs: &[&str], default_run: Option<&str>) -> Package {
        let target = |name: &str, kind: &str| Target { name: name.to_owned(), kind: vec![kind.to_owned()] };
        let mut targets = vec![target("x", "lib"), target("y", "test")];
        targets.extend(programs.iter().map(|name| target(name, "bin")));
        Package {
            name: "p".to_owned(),
            version: "1.0.0".to_owned(),
            manifest_path: "/p/Cargo.toml".into(),
            default_run: default_run.map(str::to_owned),
            targets,
        }
    }

    #[test]
    fn the_program_is_the_one_that_is_meant() {
        for (programs, default_run, named, chosen) in [
            (&["a"][..], None, None, "a"),
            (&["a", "b"], Some("b"), None, "b"),
            (&["a", "b"], Some("b"), Some("a"), "a"),
            (&["a", "b"], None, Some("b"), "b"),
        ] {
            assert_eq!(choose(&package(programs, default_run), named), Ok(chosen.to_owned()));
        }
        for (programs, named, part) in [
            (&[][..], None, "has no program; it needs a `src/main.rs`"),
            (&["a", "b"], None, "has several programs (a, b); say by --bin"),
            (&["a"], Some("x"), "has no program `x` (there is a)"),
        ] {
            let said = choose(&package(programs, None), named).expect_err(part);
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn identities_of_packages_are_read() {
        let skitter = ("skitter", "0.1.0");
        for id in [
            "registry+https://github.com/rust-lang/crates.io-index#skitter@0.1.0",
            "path+file:///work/skitter#0.1.0",
            "path+file:///work/checkout#skitter@0.1.0",
            "git+https://host/skitter?rev=1#skitter@0.1.0",
        ] {
            assert_eq!(id_parts(id), skitter, "{id}");
        }
    }

    fn project() -> Project {
        Project {
            name: "app".to_owned(),
            version: "1.0.0".to_owned(),
            program: "app".to_owned(),
            manifest: "/app/Cargo.toml".into(),
            target: "/t".into(),
            locked: false,
        }
    }

    /// What cargo says of a crate.
    fn line(id: &str, directory: &str, kind: &str, file: &str) -> String {
        let name = directory.trim_start_matches('/');
        let executable = (kind == "bin").then_some(file);
        serde_json::json!({
            "reason": "compiler-artifact",
            "package_id": id,
            "manifest_path": format!("{directory}/Cargo.toml"),
            "target": { "kind": [kind], "name": name },
            "filenames": [file],
            "executable": executable,
        })
        .to_string()
    }

    #[test]
    fn what_is_in_the_program_is_known_from_where_it_was_built() {
        let said = [
            line("r#macros@1.0.0", "/macros", "proc-macro", "/t/release/deps/libmacros.so"),
            line("r#both@1.0.0", "/both", "lib", "/t/release/deps/libboth.rlib"),
            line("r#both@1.0.0", "/both", "lib", "/t/a-b-c/release/deps/libboth.rlib"),
            r#"{"reason":"build-script-executed","package_id":"r#both@1.0.0"}"#.to_owned(),
            line("path+file:///s/skitter#0.2.0", "/s/skitter", "lib", "/t/a-b-c/release/deps/libskitter.rlib"),
            line("path+file:///app#1.0.0", "/app", "bin", "/t/a-b-c/release/app"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let built = project().understand(&said.join("\n"), "a-b-c").expect("built");
        assert_eq!((built.program, built.skitter), ("/t/a-b-c/release/app".into(), "0.2.0".to_owned()));
        assert_eq!(built.parts, [PathBuf::from("/both/Cargo.toml"), "/s/skitter/Cargo.toml".into()]);
    }

    #[test]
    fn what_is_no_node_is_refused() {
        let program = line("path+file:///app#1.0.0", "/app", "bin", "/t/a-b-c/release/app");
        let said = project().understand(&program, "a-b-c").expect_err("no skitter").to_string();
        assert_eq!(said, "`app` does not depend on `skitter`, so its program is no node");
        for (text, part) in [("", "it has not built the program"), ("x", "expected value")] {
            let said = project().understand(text, "a-b-c").expect_err("nothing built").to_string();
            assert!(said.contains(part), "{said}");
        }
    }
}
