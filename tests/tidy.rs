//! The rules of the house, as far as no other tool holds them: which room imports which, what may stand where, and how
//! long things are. Each rule is a function with a test on code that breaks it.

#![cfg(test)]

#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use source::Source;

/// The floor plan: a room, and the rooms that it may import. Each is on a floor above all of those, so calls go down.
/// A room may be missing as long as nobody needs it.
const FLOORS: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("codec", &["id"]),
    ("telemetry", &["id"]),
    ("workflow", &["id", "codec"]),
    ("disk", &["id", "codec", "workflow"]),
    ("actor", &["id", "telemetry"]),
    ("net", &["id", "codec", "telemetry"]),
    ("state", &["id", "codec", "telemetry"]),
    // Built-ins stand on what users have, too: an operator names the default strategy of its operation.
    ("strategies", &["id", "codec", "workflow", "disk"]),
    ("operations", &["id", "codec", "workflow", "disk", "strategies"]),
    ("connectors", &["id", "codec", "workflow", "strategies"]),
    ("runtime", &["id", "codec", "telemetry", "workflow", "actor", "net", "state"]),
    // For the tests of users, so it sees what they see.
    ("testing", &["id", "codec", "workflow", "strategies", "operations", "runtime"]),
    ("node", &["id", "codec", "telemetry", "workflow", "actor", "net", "state", "runtime"]),
    ("dashboard", &["id", "telemetry", "node"]),
    ("release", &["id", "telemetry"]),
    ("hosts", &["id", "telemetry", "actor"]),
    (
        "cli",
        &[
            "id",
            "codec",
            "telemetry",
            "workflow",
            "actor",
            "net",
            "state",
            "strategies",
            "operations",
            "runtime",
            "testing",
            "node",
            "dashboard",
            "release",
            "hosts",
        ],
    ),
    // Ways in for bytes of any kind, for tests of what strangers can send.
    ("fuzz", &["id", "codec", "net", "testing", "runtime", "node"]),
    // Names that users write most, for one import of theirs; nobody inside needs it.
    ("prelude", &["workflow", "strategies", "operations", "runtime", "cli"]),
];

/// Where there is no clock, no file, no network, no thread and no tokio, so that tests decide what happens when.
const PURE: &[&str] = &[
    "src/id/",
    "src/codec/",
    "src/workflow/",
    "src/strategies/",
    "src/net/digest.rs",
    "src/net/doorkeeper.rs",
    "src/net/handshake/",
    "src/net/identity.rs",
    "src/net/mapper/table.rs",
    "src/net/mapper/wire.rs",
    "src/net/membership.rs",
    "src/net/refusal.rs",
    "src/runtime/coordinator.rs",
    "src/runtime/coordinator/growing.rs",
    "src/runtime/growth.rs",
    "src/runtime/ledger.rs",
    "src/runtime/plan.rs",
];

/// What is neither pure nor repeatable.
const IMPURE: &[&str] = &[
    "Instant",
    "SystemTime",
    "tokio",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "ractor",
];

/// Most lines of a file, so that it has one idea.
const MOST_LINES: usize = 500;
/// Most characters of a line.
const MOST_COLUMNS: usize = 120;

/// What stands in a file and breaks a rule.
type Faults = Vec<String>;

fn fault(source: &Source, line: usize, what: &str) -> String {
    format!("{}:{line}: {what}", source.path)
}

/// Nobody imports from a room that is not below.
fn imports_go_down(source: &Source, upstairs: &[(String, String)]) -> Faults {
    let Some(room) = source.room() else { return Vec::new() };
    let Some((_, below)) = FLOORS.iter().find(|(name, _)| *name == room) else { return Vec::new() };
    let mut faults = Vec::new();
    for (line, item) in source.imports() {
        let is_room = |item: &str| FLOORS.iter().any(|(name, _)| *name == item);
        // What lib.rs passes on belongs to the room that it is from.
        let passed_on = upstairs.iter().find(|(name, _)| *name == item).filter(|_| !is_room(&item));
        let from = passed_on.map_or(item.as_str(), |(_, room)| room.as_str());
        if is_room(from) && from != room && !below.contains(&from) {
            faults.push(fault(source, line, &format!("`{room}` must not import from `{from}`")));
        }
    }
    faults
}

/// A directory in `src` is a room with a floor.
fn rooms_have_a_floor(sources: &[Source]) -> Faults {
    let rooms: BTreeSet<&str> = sources.iter().filter_map(Source::room).collect();
    let known = |room: &&str| FLOORS.iter().any(|(name, _)| name == room);
    rooms
        .into_iter()
        .filter(|room| !known(room))
        .map(|room| format!("src/{room}: it has no floor in the plan"))
        .collect()
}

/// Every room has a heading in ARCHITECTURE.md that names it.
fn rooms_are_described(sources: &[Source], architecture: &str) -> Faults {
    let rooms: BTreeSet<&str> = sources.iter().filter_map(Source::room).collect();
    let headings: Vec<&str> = architecture.lines().filter(|line| line.starts_with('#')).collect();
    let missing = rooms.into_iter().filter(|room| !headings.iter().any(|line| line.contains(&format!("`{room}`"))));
    missing.map(|room| format!("ARCHITECTURE.md: no heading names `{room}`")).collect()
}

/// Every dependency has its row, or is named, in ARCHITECTURE.md.
fn dependencies_have_a_reason(manifest: &str, architecture: &str) -> Faults {
    let mut inside = false;
    let mut faults = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) {
            let name = name.trim();
            if !architecture.contains(&format!("`{name}`")) {
                faults.push(format!("ARCHITECTURE.md: it does not say what `{name}` is for"));
            }
        }
    }
    faults
}

/// Every file says in its first line what it is for.
fn files_say_what_they_are(source: &Source) -> Faults {
    if source.text.starts_with("//! ") { Vec::new() } else { vec![fault(source, 1, "no `//!` says what it is for")] }
}

fn files_are_short(source: &Source) -> Faults {
    let lines = source.text.lines().count();
    if lines <= MOST_LINES { Vec::new() } else { vec![fault(source, MOST_LINES + 1, &format!("{lines} lines"))] }
}

/// Rows of a table and addresses can be as long as they are.
fn lines_are_short(source: &Source) -> Faults {
    let cannot_be_broken =
        |line: &str| line.trim_start().starts_with(['/', '|']) && line.contains(" | ") || line.contains("://");
    let long = (1..)
        .zip(source.text.lines())
        .filter(|(_, line)| line.chars().count() > MOST_COLUMNS && !cannot_be_broken(line));
    long.map(|(line, text)| fault(source, line, &format!("{} columns", text.chars().count()))).collect()
}

fn pure_code_stays_pure(source: &Source) -> Faults {
    if !PURE.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let found = IMPURE.iter().flat_map(|what| source.mentions(what).into_iter().map(move |line| (line, what)));
    found.map(|(line, what)| fault(source, line, &format!("`{what}` where only pure code stands"))).collect()
}

/// Only the command line prints, and only it ends the process or reads its arguments.
fn only_the_command_line_speaks(source: &Source) -> Faults {
    if source.room() == Some("cli") || !source.path.starts_with("src/") {
        return Vec::new();
    }
    let banned = [
        "println!",
        "eprintln!",
        "print!",
        "eprint!",
        "dbg!",
        "process::exit",
        "process::abort",
        "env::args",
        "env::args_os",
    ];
    let found = banned.iter().flat_map(|what| source.mentions(what).into_iter().map(move |line| (line, what)));
    found.map(|(line, what)| fault(source, line, &format!("`{what}` outside of `cli`"))).collect()
}

/// Programs are started by the command line, and by what brings releases to hosts.
fn few_start_programs(source: &Source) -> Faults {
    if matches!(source.room(), Some("cli" | "release") | None) {
        return Vec::new();
    }
    source.mentions("process::Command").into_iter().map(|line| fault(source, line, "it starts a program")).collect()
}

/// The built-ins can do what a user's operations and strategies can, because nothing is kept for them.
fn nothing_is_kept_for_the_built_ins(source: &Source) -> Faults {
    if !matches!(source.room(), Some("workflow" | "codec" | "id")) {
        return Vec::new();
    }
    let private = ["pub(crate)", "pub(in"].iter().flat_map(|what| source.mentions(what));
    private.map(|line| fault(source, line, "what `crate` may see, users may see")).collect()
}

/// What is missing is an issue and no mark in the code.
fn nothing_is_left_undone(source: &Source) -> Faults {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("unimple", "mented!"),
        concat!("to", "do!"),
    ];
    let lines = (1..).zip(source.text.lines());
    let marked = lines.filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
    marked.map(|(line, _)| fault(source, line, "it is not finished")).collect()
}

/// Nobody waits for a time and hopes.
fn nobody_sleeps(source: &Source) -> Faults {
    if source.path.starts_with("benches/") {
        return Vec::new();
    }
    source
        .mentions("thread::sleep")
        .into_iter()
        .map(|line| fault(source, line, "it sleeps; wait for the event"))
        .collect()
}

/// What the plan says can be built: no two rooms import each other, by whatever way.
#[test]
fn the_plan_has_floors() {
    for (floor, (room, below)) in FLOORS.iter().enumerate() {
        for other in *below {
            let place = FLOORS.iter().position(|(name, _)| name == other);
            assert!(place.is_some_and(|place| place < floor), "`{room}` imports from `{other}`, which is not below");
        }
    }
}

#[test]
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Source::all(root).expect("readable sources");
    assert!(sources.len() > 80, "only {} files were found", sources.len());
    let architecture = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("a description of the rooms");
    let library = sources.iter().find(|source| source.path == "src/lib.rs").expect("a library");
    let upstairs = library.passed_on();
    let mut faults = rooms_have_a_floor(&sources);
    faults.extend(rooms_are_described(&sources, &architecture));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("a manifest");
    faults.extend(dependencies_have_a_reason(&manifest, &architecture));
    for source in &sources {
        faults.extend(imports_go_down(source, &upstairs));
        for rule in [
            files_say_what_they_are,
            files_are_short,
            lines_are_short,
            pure_code_stays_pure,
            only_the_command_line_speaks,
            few_start_programs,
            nothing_is_kept_for_the_built_ins,
            nothing_is_left_undone,
            nobody_sleeps,
        ] {
            faults.extend(rule(source));
        }
    }
    assert!(faults.is_empty(), "the house is not in order:\n{}", faults.join("\n"));
}

/// Code that is not in order, to see that it is found.
fn bad(path: &str, text: &str) -> Source {
    Source::new(path, text)
}

#[test]
fn an_import_against_the_plan_is_found() {
    let upstairs =
        bad("src/lib.rs", "pub use runtime::{Runtime, Settings as Set};\npub use workflow::Error;").passed_on();
    let lines = |path: &str, text: &str| {
        imports_go_down(&bad(path, text), &upstairs)
            .iter()
            .map(|fault| fault.replace("must not import ", ""))
            .collect::<Vec<_>>()
    };
    let found = ["src/workflow/a.rs:1: `workflow` from `runtime`"];
    assert_eq!(lines("src/workflow/a.rs", "use crate::runtime::Plan;"), found);
    assert_eq!(lines("src/workflow/a.rs", "use crate::{id::VertexId, runtime::{Plan, x}};"), found);
    assert_eq!(lines("src/workflow/a.rs", "fn f() -> crate::runtime::Plan {}"), found);
    assert_eq!(lines("src/workflow/a.rs", "fn f() -> super::super::runtime::Plan {}"), found);
    assert_eq!(
        lines("src/workflow/mod.rs", "use super::runtime;"),
        ["src/workflow/mod.rs:1: `workflow` from `runtime`"]
    );
    assert_eq!(lines("src/workflow/a.rs", "use crate::Runtime;"), found);
    assert_eq!(lines("src/workflow/a.rs", "use crate::Set;"), found);
    assert_eq!(
        lines("src/workflow/a.rs", "\n\nuse crate::\n  runtime::Plan;"),
        ["src/workflow/a.rs:3: `workflow` from `runtime`"]
    );
    assert_eq!(lines("src/strategies/a.rs", "use crate::operations::Map;").len(), 1);
    assert_eq!(lines("src/prelude.rs", "pub use crate::node::Local;").len(), 1);
    assert_eq!(lines("src/node/mod.rs", "pub use crate::cli::App;").len(), 1);
    assert_eq!(lines("src/node/a.rs", "use crate::{operations, strategies};").len(), 2);

    let none: [&str; 0] = [];
    assert_eq!(
        lines("src/operations/a.rs", "use crate::strategies::Chained; use crate::workflow::Emit; use crate::Error;"),
        none
    );
    assert_eq!(lines("src/workflow/a.rs", "use super::runtime::Plan; use crate::workflow::x; use crate::id;"), none);
    assert_eq!(
        lines(
            "src/workflow/a.rs",
            "// use crate::runtime::Plan;\n/// [`crate::runtime`]\nconst A: &str = \"crate::runtime\";"
        ),
        none
    );
    assert_eq!(lines("src/workflow/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::runtime::Plan;\n}"), none);
    assert_eq!(
        lines("src/workflow/a.rs", "#[cfg(test)]\nmod tests { fn f() { '{'; } }\nuse crate::runtime::Plan;").len(),
        1
    );
    assert_eq!(lines("src/workflow/tests.rs", "use crate::runtime::Plan;"), none);
}

#[test]
fn a_room_without_floor_or_description_is_found() {
    let sources = [bad("src/attic/mod.rs", "//! x"), bad("src/id/mod.rs", "//! x"), bad("src/lib.rs", "//! x")];
    assert_eq!(rooms_have_a_floor(&sources), ["src/attic: it has no floor in the plan"]);
    let missing = rooms_are_described(&sources, "# Rooms\nAbout `attic`\n### `id`: names\n");
    assert_eq!(missing, ["ARCHITECTURE.md: no heading names `attic`"]);
    let manifest = "[package]\nname = 1\n[dependencies]\nserde = 1\ntokio = { x = 1 }\n[features]\nx = 1";
    let unknown = dependencies_have_a_reason(manifest, "| `serde` | records |");
    assert_eq!(unknown, ["ARCHITECTURE.md: it does not say what `tokio` is for"]);
}

#[test]
fn what_breaks_a_rule_is_found() {
    assert_eq!(
        files_say_what_they_are(&bad("src/id/mod.rs", "use x;\n//! too late")),
        ["src/id/mod.rs:1: no `//!` says what it is for"]
    );
    assert_eq!(files_are_short(&bad("src/id/mod.rs", &"x\n".repeat(501))), ["src/id/mod.rs:501: 501 lines"]);
    assert!(files_are_short(&bad("src/id/mod.rs", &"x\n".repeat(500))).is_empty());
    assert_eq!(
        lines_are_short(&bad("a.rs", &format!("{}\n{}", "ü".repeat(120), "x".repeat(121)))),
        ["a.rs:2: 121 columns"]
    );

    let clock = "use std::time::{Duration, Instant};\nfn f() { tokio::spawn(x); std::fs::read(y); }";
    assert_eq!(pure_code_stays_pure(&bad("src/workflow/a.rs", clock)).len(), 3);
    assert_eq!(pure_code_stays_pure(&bad("src/runtime/coordinator.rs", clock)).len(), 3);
    assert!(pure_code_stays_pure(&bad("src/runtime/worker.rs", clock)).is_empty());
    assert!(
        pure_code_stays_pure(&bad("src/workflow/a.rs", "// Instant\nlet instant: NoInstant = \"tokio\";")).is_empty()
    );

    let speaks = "fn f() { println!(\"x\"); std::process::exit(1); std::env::args(); }";
    assert_eq!(only_the_command_line_speaks(&bad("src/node/a.rs", speaks)).len(), 3);
    assert_eq!(only_the_command_line_speaks(&bad("src/lib.rs", speaks)).len(), 3);
    assert!(only_the_command_line_speaks(&bad("src/cli/a.rs", speaks)).is_empty());
    assert!(only_the_command_line_speaks(&bad("src/node/a.rs", "my_println!(); fn print() -> ExitCode {}")).is_empty());

    let starts = "use std::process::Command;";
    assert_eq!(few_start_programs(&bad("src/node/a.rs", starts)), ["src/node/a.rs:1: it starts a program"]);
    assert!(few_start_programs(&bad("src/release/a.rs", starts)).is_empty());

    let kept = "pub(crate) fn f() {}";
    assert_eq!(nothing_is_kept_for_the_built_ins(&bad("src/workflow/a.rs", kept)).len(), 1);
    assert!(nothing_is_kept_for_the_built_ins(&bad("src/workflow/a.rs", "pub(super) fn f() {}")).is_empty());

    let undone = concat!("// TO", "DO: later\nfn f() { unimple", "mented!() }");
    assert_eq!(nothing_is_left_undone(&bad("src/id/a.rs", undone)).len(), 2);
    assert_eq!(
        nobody_sleeps(&bad("tests/it/a.rs", "std::thread::sleep(x);")),
        ["tests/it/a.rs:1: it sleeps; wait for the event"]
    );
}
