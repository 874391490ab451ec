//! `skitter release`, with a stand-in for cargo that says what a test wants; `application` has the real one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::{TempDir, tempdir};

use super::process::{Ended, run, skitter};

/// A package, and a cargo that has built it.
struct Bench {
    place: TempDir,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { place: tempdir().expect("a directory") };
        let package = bench.path("app");
        fs::create_dir_all(bench.path("answers")).expect("made");
        fs::create_dir_all(package.join("target/x-y-z/release")).expect("made");
        fs::create_dir_all(package.join("dependency")).expect("made");
        fs::write(package.join("Cargo.toml"), "[package]\nname = 'app'\n").expect("written");
        fs::write(package.join("Cargo.lock"), "").expect("written");
        fs::write(package.join("target/x-y-z/release/app"), "#!/bin/sh\necho program\n").expect("written");
        let dependency = "[package]\nname = 'dependency'\nversion = '1.2.3'\nlicense = 'MIT'\n";
        fs::write(package.join("dependency/Cargo.toml"), dependency).expect("written");
        fs::write(package.join("dependency/LICENSE"), "The terms of the dependency\n").expect("written");
        bench.answer("locate-project", &format!("{}\n", package.join("Cargo.toml").display()));
        bench.metadata(&["app"]);
        let of = |id: &str, manifest: &str, kind: &str, file: &str| {
            let file = package.join(file);
            let executable = (kind == "bin").then_some(&file);
            json!({
                "reason": "compiler-artifact", "package_id": id, "manifest_path": package.join(manifest),
                "target": { "name": "app", "kind": [kind] }, "filenames": [file], "executable": executable,
            })
        };
        let built = [
            of("registry+x#dependency@1.2.3", "dependency/Cargo.toml", "lib", "target/x-y-z/release/deps/libd.rlib"),
            of("registry+x#skitter@0.9.1", "dependency/Cargo.toml", "lib", "target/x-y-z/release/deps/libs.rlib"),
            of("path+file:///app#0.3.0", "Cargo.toml", "bin", "target/x-y-z/release/app"),
        ];
        bench.answer("build", &built.map(|line| format!("{line}\n")).concat());
        bench
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.place.path().join(inside)
    }

    fn answer(&self, question: &str, text: &str) {
        fs::write(self.path("answers").join(question), text).expect("written");
    }

    /// What cargo says of the package, which has these programs.
    fn metadata(&self, programs: &[&str]) {
        let package = self.path("app");
        let targets: Vec<_> = programs.iter().map(|name| json!({ "name": name, "kind": ["bin"] })).collect();
        let metadata = json!({
            "packages": [{
                "name": "app", "version": "0.3.0", "manifest_path": package.join("Cargo.toml"), "targets": targets,
                "default_run": null,
            }],
            "workspace_root": package, "target_directory": package.join("target"),
        });
        self.answer("metadata", &metadata.to_string());
    }

    fn command(&self) -> Command {
        let mut command = skitter(&self.path("app"));
        let cargo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli/answers.sh");
        command.env("CARGO", cargo).env("ANSWERS", self.path("answers")).env("SOURCE_DATE_EPOCH", "1700000000");
        command
    }

    fn release(&self, arguments: &[&str]) -> Ended {
        run(self.command(), ["release", "--target", "x-y-z"].iter().chain(arguments))
    }
}

#[test]
fn a_release_is_made_checked_and_made_again() {
    let bench = Bench::new();
    let made = bench.release(&[]).expect(0);
    assert_eq!(made.stdout, "app-0.3.0-x-y-z.tar.gz\n");
    assert!(made.stderr.contains("it runs on systems as the one that it was built on (x-y-z)"), "{made:?}");
    let asked = fs::read_to_string(bench.path("answers/asked")).expect("asked");
    let build = asked.lines().find(|line| line.starts_with("build ")).expect("a build");
    for part in [
        "--release",
        "--locked",
        "--target x-y-z",
        "--bin app",
        "/target/skitter-release",
        "--config profile.release.debug=false",
    ] {
        assert!(build.contains(part), "{build}");
    }
    let tarball = bench.path("app/app-0.3.0-x-y-z.tar.gz");
    let bytes = fs::read(&tarball).expect("a tarball");
    // The same again, in place of the first.
    bench.release(&[]).expect(0);
    assert!(fs::read(&tarball).expect("a tarball") == bytes);
    bench.release(&["-o", "../other.tar.gz"]).expect(0);
    assert!(fs::read(bench.path("other.tar.gz")).expect("a tarball") == bytes);

    let verify = |what: &str| run(bench.command(), ["release", "verify", what]);
    let said = verify("../other.tar.gz").expect(0).stdout;
    assert_eq!(said, "`../other.tar.gz` is app 0.3.0 for x-y-z; all 5 files are as they were made\n");

    let mut tar = Command::new("tar");
    tar.args(["xzf", "other.tar.gz"]).current_dir(bench.place.path());
    run(tar, [""; 0]).expect(0);
    verify("../app-0.3.0").expect(0);
    let text = |name: &str| fs::read_to_string(bench.path("app-0.3.0").join(name)).expect(name);
    let manifest: serde_json::Value = serde_json::from_str(&text("RELEASE.json")).expect("JSON");
    let what = ["name", "version", "skitter", "target"].map(|key| manifest[key].as_str().unwrap_or_default());
    assert_eq!(what, ["app", "0.3.0", "0.9.1", "x-y-z"]);
    let program = fs::read(bench.path("app/target/x-y-z/release/app")).expect("a program");
    assert_eq!(manifest["build"].as_str(), Some(blake3::hash(&program).to_hex().as_str()));
    assert_eq!(manifest["files"]["bin/skitter"]["size"], program.len());
    assert!(text("LICENSES.txt").contains("dependency 1.2.3: MIT\n    LICENSE: text "));
    assert!(text("LICENSES.txt").contains("The terms of the dependency\n"));
    assert!(text("LICENSES.txt").contains("Rust's standard library "));
    assert!(text("skitter.toml").contains("#log-level = \"info\"\n"));
    let mut program = Command::new(bench.path("app-0.3.0/bin/skitter"));
    program.current_dir(bench.place.path());
    assert_eq!(run(program, [""; 0]).expect(0).stdout, "program\n");
    // A node that is started there reads the file.
    let mut node = skitter(&bench.path("app-0.3.0"));
    node.arg("local");
    run(node, [""; 0]).expect(0);

    fs::write(bench.path("app-0.3.0/README.md"), "").expect("written");
    fs::write(bench.path("app-0.3.0/more"), "").expect("written");
    let said = verify("../app-0.3.0").expect(5).stderr;
    assert!(
        said.starts_with("error: `../app-0.3.0` is not as it was made; get it again, or make a new one:\n"),
        "{said}"
    );
    assert!(said.contains("\n  `more` does not belong to it\n  `README.md` has 0 bytes, not "), "{said}");
    fs::write(bench.path("other.tar.gz"), &bytes[..bytes.len() / 2]).expect("written");
    let said = verify("../other.tar.gz").expect(5).stderr;
    assert!(said.contains("is no release: it cannot be read to its end"), "{said}");
    assert!(verify("missing").expect(5).stderr.contains("cannot read `missing`: No such file"));
}

#[test]
fn what_systemd_is_told_is_understood() {
    let bench = Bench::new();
    bench.release(&["-o", "../a.tar.gz"]).expect(0);
    let mut tar = Command::new("tar");
    tar.args(["xzf", "a.tar.gz"]).current_dir(bench.place.path());
    run(tar, [""; 0]).expect(0);
    let service = fs::read_to_string(bench.path("app-0.3.0/skitter-worker.service")).expect("a file");
    let sections: Vec<_> = service.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(sections, ["[Unit]", "[Service]", "[Install]"]);
    // The program that it starts has this command and these options.
    let start = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let arguments: Vec<_> = start.split(' ').skip(1).chain(["--help"]).collect();
    run(skitter(bench.place.path()), arguments).expect(0);
}

#[test]
fn what_is_wrong_is_said_before_it_is_built() {
    let bench = Bench::new();
    bench.metadata(&["a", "b"]);
    let said = bench.release(&[]).expect(2).stderr;
    assert!(said.contains("package `app` has several programs (a, b); say by --bin"), "{said}");
    assert!(bench.release(&["--bin", "c"]).expect(2).stderr.contains("has no program `c` (there is a, b)"));
    bench.metadata(&[]);
    assert!(bench.release(&[]).expect(2).stderr.contains("package `app` has no program"));
    bench.metadata(&["app"]);
    let manifest = bench.path("app/Cargo.toml");
    for (output, part) in [
        ("missing/x.tar.gz", "there is no directory `missing`"),
        ("..", "it is a directory; name a file in it"),
        (manifest.to_str().expect("UTF-8"), "is there and is no tarball; remove it, or name another file by -o"),
    ] {
        let said = bench.release(&["-o", output]).expect(2).stderr;
        assert!(said.contains(part), "{said}");
    }
    let mut wrong_time = bench.command();
    wrong_time.env("SOURCE_DATE_EPOCH", "now");
    assert!(run(wrong_time, ["release"]).expect(2).stderr.contains("SOURCE_DATE_EPOCH=`now` is no time"));
    let asked = fs::read_to_string(bench.path("answers/asked")).expect("asked");
    assert!(!asked.contains("build "), "{asked}");

    fs::write(bench.path("answers/locate-project.err"), "error: could not find `Cargo.toml` in `/x`\n")
        .expect("written");
    let said = bench.release(&[]).expect(2).stderr;
    assert!(said.starts_with("error: could not find `Cargo.toml` in `/x`"), "{said}");
    assert!(said.contains("; a release is made in the directory of an application's package"), "{said}");
    let mut nothing = bench.command();
    nothing.env("CARGO", "/nowhere/cargo");
    let said = run(nothing, ["release"]).expect(1).stderr;
    assert!(said.contains("there is no `/nowhere/cargo` on this machine, which builds releases"), "{said}");
    assert!(run(bench.command(), ["release", "verfy"]).expect(2).stderr.contains("'verify'"));
    assert!(run(bench.command(), ["release", "verify"]).expect(2).stderr.contains("<FILE|DIR>"));
}

#[test]
fn what_does_not_build_is_not_packed() {
    let bench = Bench::new();
    fs::write(bench.path("answers/build.err"), "error: expected `;`\n").expect("written");
    let said = bench.release(&[]).expect(1).stderr;
    assert_eq!(said, "error: expected `;`\nerror: the application does not build (cargo: exit status: 1)\n");
    fs::remove_file(bench.path("answers/build.err")).expect("removed");
    bench.answer("build", "{\"reason\":\"build-finished\"}\n");
    assert!(bench.release(&[]).expect(1).stderr.contains("it has not built the program"));
    let left = fs::read_dir(bench.path("app")).expect("a directory");
    let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".tar.gz")), "{left:?}");
}
