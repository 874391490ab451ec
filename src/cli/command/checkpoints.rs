//! `skitter checkpoints`: what was saved of workflows, and whether it is whole.

use clap::Subcommand;
use clap::builder::FalseyValueParser;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::General;
use super::deploy::wait;
use super::show::{duration, plain, table};
use crate::actor::Executor;
use crate::cli::config::{Settings, StoreUrl};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::state::{Manifest, Run, StateError, Store, StoreError, Verified, runs, verify};

/// Show what was saved of workflows, and whether it is whole
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = false)]
pub struct Checkpoints {
    #[command(subcommand)]
    action: Option<Action>,

    /// Where it was saved [env: SKITTER_CHECKPOINT_STORE] [default: ~/.local/state/skitter/checkpoints]
    #[arg(long, value_name = "URL", global = true, value_hint = clap::ValueHint::DirPath)]
    checkpoint_store: Option<StoreUrl>,

    #[command(flatten)]
    wanted: Wanted,

    /// As JSON [default: false]
    #[arg(long, env = "SKITTER_JSON", hide_env_values = true, global = true, value_parser = FalseyValueParser::new())]
    json: bool,
}

/// Whose checkpoints are meant.
#[derive(Clone, Debug, Default, clap::Args)]
struct Wanted {
    /// Only this workflow [default: all]
    #[arg(long, value_name = "NAME", global = true, env = "SKITTER_WORKFLOW", hide_env_values = true)]
    workflow: Option<String>,

    /// Only this run of a workflow; `show` and `verify` take the newest one that has the checkpoint [default: all]
    #[arg(long, value_name = "RUN", global = true, env = "SKITTER_RUN", hide_env_values = true)]
    run: Option<String>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// List them; the same as `checkpoints` alone
    List,
    /// Say what is in one: vertices, workers and bytes
    Show {
        /// Its number; the newest one if it is not said
        checkpoint: Option<u64>,
    },
    /// Read all that was saved, and say what is damaged. Exit status 0 if nothing is, 1 if something is
    Verify {
        /// The number of a checkpoint; all if it is not said
        checkpoint: Option<u64>,
    },
}

/// A checkpoint, or what is wrong with its manifest.
struct Entry {
    run: Run,
    checkpoint: u64,
    manifest: Result<Manifest, StateError>,
}

/// Does it.
///
/// # Errors
/// When the store is unusable, there is no such checkpoint, or something is damaged.
pub fn run(checkpoints: Checkpoints, general: &General) -> Result<(), Failure> {
    let Checkpoints { action, checkpoint_store, wanted, json } = checkpoints;
    let url = general.settings(Settings { checkpoint_store, ..Settings::default() })?.checkpoint_store()?;
    let store = Store::open(&url).map_err(StateError::from)?;
    let executor = Executor::with_connections("skitter-checkpoints", 1).map_err(Failure::Start)?;
    let (text, whole) = wait(&executor, async move { answer(&store, action, &wanted, json).await })??;
    output::print(text.as_bytes())?;
    if whole { Ok(()) } else { Err(Failure::Damaged) }
}

/// What is printed, and whether all that it is about is whole.
async fn answer(
    store: &Store,
    action: Option<Action>,
    wanted: &Wanted,
    as_json: bool,
) -> Result<(String, bool), Failure> {
    let runs = wanted.runs(store).await?;
    match action.unwrap_or(Action::List) {
        Action::List => {
            let entries = all(&runs).await?;
            let text = match as_json {
                true => format!("{:#}\n", Value::from_iter(entries.iter().map(Entry::json))),
                false if entries.is_empty() => format!("no checkpoints in `{}`\n", store.url()),
                false => list(&entries),
            };
            Ok((text, true))
        }
        Action::Show { checkpoint } => {
            let entry = one(store, &runs, checkpoint).await?;
            let manifest = entry.manifest?;
            Ok((if as_json { format!("{:#}\n", show_json(&manifest)) } else { show(&manifest) }, true))
        }
        Action::Verify { checkpoint } => {
            let entries = match checkpoint {
                Some(_) => vec![one(store, &runs, checkpoint).await?],
                None => all(&runs).await?,
            };
            if entries.is_empty() {
                return Err(none(store, None));
            }
            let (mut text, mut values, mut whole) = (String::new(), Vec::new(), true);
            for entry in &entries {
                let verified = entry.verify().await?;
                whole &= verified.damage.is_empty();
                text.push_str(&entry.verified(&verified));
                values.push(entry.verified_json(&verified));
            }
            Ok((if as_json { format!("{:#}\n", Value::from(values)) } else { text }, whole))
        }
    }
}

impl Wanted {
    /// The runs that are meant, by workflow, and of one workflow by time.
    async fn runs(&self, store: &Store) -> Result<Vec<Run>, StateError> {
        let all = runs(store, self.workflow.as_deref()).await?;
        let wanted = all.into_iter().filter(|(_, run)| self.run.as_ref().is_none_or(|wanted| wanted == run));
        Ok(wanted.map(|(workflow, run)| Run::new(store.clone(), &workflow, &run)).collect())
    }
}

/// All checkpoints of some runs.
async fn all(runs: &[Run]) -> Result<Vec<Entry>, StateError> {
    let mut entries = Vec::new();
    for run in runs {
        for checkpoint in run.checkpoints().await? {
            entries.extend(Entry::read(run, checkpoint).await?);
        }
    }
    Ok(entries)
}

/// A checkpoint of the newest of some runs that has it.
async fn one(store: &Store, runs: &[Run], checkpoint: Option<u64>) -> Result<Entry, Failure> {
    let mut newest: Vec<_> = runs.iter().collect();
    newest.sort_by(|a, b| b.name().cmp(a.name()));
    for run in newest {
        let there = run.checkpoints().await?;
        let found = checkpoint.map_or(there.last(), |wanted| there.iter().find(|there| **there == wanted));
        let Some(&found) = found else { continue };
        if let Some(entry) = Entry::read(run, found).await? {
            return Ok(entry);
        }
    }
    Err(none(store, checkpoint))
}

fn none(store: &Store, checkpoint: Option<u64>) -> Failure {
    let what = checkpoint.map_or("no checkpoint".to_owned(), |checkpoint| format!("no checkpoint {checkpoint}"));
    Failure::Usage(format!("there is {what} of that in `{}`", store.url()))
}

impl Entry {
    /// Nothing if it has been deleted meanwhile.
    async fn read(run: &Run, checkpoint: u64) -> Result<Option<Entry>, StateError> {
        let entry = |manifest| Ok(Some(Entry { run: run.clone(), checkpoint, manifest }));
        match run.manifest(checkpoint).await {
            Ok(manifest) => entry(Ok(manifest)),
            Err(error @ (StateError::Damaged { .. } | StateError::Newer { .. })) => entry(Err(error)),
            Err(StateError::Store(StoreError::Missing(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn kind(&self) -> &'static str {
        match &self.manifest {
            Ok(Manifest { savepoint: true, .. }) => "savepoint",
            Ok(_) => "checkpoint",
            Err(StateError::Newer { .. }) => "of a newer Skitter",
            Err(_) => "damaged",
        }
    }

    fn json(&self) -> Value {
        let manifest = self.manifest.as_ref().ok();
        json!({
            "workflow": self.run.workflow(),
            "run": self.run.name(),
            "checkpoint": self.checkpoint,
            "at_ms": manifest.map(|manifest| manifest.at_ms),
            "took_ms": manifest.map(|manifest| manifest.took_ms),
            "size": manifest.map(Manifest::size),
            "kind": self.kind(),
            "error": self.manifest.as_ref().err().map(ToString::to_string),
        })
    }

    async fn verify(&self) -> Result<Verified, StateError> {
        match &self.manifest {
            Ok(manifest) => verify(&self.run, manifest).await,
            Err(error) => Ok(Verified { damage: vec![error.to_string()], ..Verified::default() }),
        }
    }

    fn verified(&self, verified: &Verified) -> String {
        let Verified { objects, sections, bytes, damage } = verified;
        let state = if damage.is_empty() { "whole" } else { "DAMAGED" };
        let read = format!("{objects} objects, {sections} sections, {} read", size(*bytes));
        let (workflow, run) = (self.run.workflow(), self.run.name());
        let mut text = format!("{}\n", plain(&format!("`{workflow}` {run} {}: {state}; {read}", self.checkpoint)));
        damage.iter().for_each(|line| text.push_str(&format!("  {}\n", plain(line))));
        text
    }

    fn verified_json(&self, verified: &Verified) -> Value {
        json!({
            "workflow": self.run.workflow(),
            "run": self.run.name(),
            "checkpoint": self.checkpoint,
            "whole": verified.damage.is_empty(),
            "objects": verified.objects,
            "sections": verified.sections,
            "bytes": verified.bytes,
            "damage": verified.damage,
        })
    }
}

fn list(entries: &[Entry]) -> String {
    let row = |entry: &Entry| {
        let names = [entry.run.workflow().to_owned(), entry.run.name().to_owned(), entry.checkpoint.to_string()];
        let rest = match &entry.manifest {
            Ok(manifest) => [time(manifest.at_ms), size(manifest.size()), duration(manifest.took_ms)],
            Err(_) => [String::new(), String::new(), String::new()],
        };
        names.into_iter().chain(rest).chain([entry.kind().to_owned()]).collect()
    };
    table(&["WORKFLOW", "RUN", "CHECKPOINT", "TIME (UTC)", "SIZE", "TOOK", "KIND"], entries.iter().map(row))
}

fn show(manifest: &Manifest) -> String {
    let words = manifest.arguments.iter().map(|word| match word.contains(|c: char| c.is_whitespace() || c == '"') {
        true => format!("{word:?}"),
        false => word.clone(),
    });
    let built = manifest.build.as_deref().map(|build| format!(", build {}", build.get(..16).unwrap_or(build)));
    let mut rows = vec![
        ("workflow", manifest.workflow.clone()),
        ("run", manifest.run.clone()),
        ("checkpoint", manifest.checkpoint.to_string()),
        ("kind", if manifest.savepoint { "savepoint" } else { "checkpoint" }.to_owned()),
        ("time", format!("{} UTC", time(manifest.at_ms))),
        ("took", duration(manifest.took_ms)),
        ("size", format!("{} in {} objects", size(manifest.size()), manifest.objects.len())),
        ("version", format!("{}{}", manifest.version, built.unwrap_or_default())),
        ("fingerprint", format!("{:016x}", manifest.fingerprint)),
    ];
    if !manifest.arguments.is_empty() {
        rows.insert(1, ("arguments", words.collect::<Vec<_>>().join(" ")));
    }
    let (ended, all) = (manifest.workers.iter().filter(|worker| worker.finished).count(), manifest.workers.len());
    rows.push(("workers", if ended == 0 { all.to_string() } else { format!("{all}, of which {ended} had ended") }));
    let mut text = table(&[], rows.into_iter().map(|(label, value)| vec![label.to_owned(), value]));
    text.push('\n');
    let row = |(vertex, bytes): (&crate::state::SavedVertex, u64)| {
        vec![
            vertex.id.0.to_string(),
            vertex.name.clone(),
            vertex.operation.clone(),
            vertex.strategy.clone(),
            vertex.workers.to_string(),
            size(bytes),
        ]
    };
    let vertices = manifest.vertices.iter().zip(bytes(manifest));
    text.push_str(&table(&["ID", "VERTEX", "OPERATION", "STRATEGY", "WORKERS", "SIZE"], vertices.map(row)));
    text
}

/// The manifest, with bytes in all and of each vertex.
fn show_json(manifest: &Manifest) -> Value {
    let mut value = json!(manifest);
    value["size"] = manifest.size().into();
    for (vertex, bytes) in value["vertices"].as_array_mut().into_iter().flatten().zip(bytes(manifest)) {
        vertex["bytes"] = bytes.into();
    }
    value
}

/// How many bytes were saved for each vertex.
fn bytes(manifest: &Manifest) -> Vec<u64> {
    let mut all = std::collections::BTreeMap::new();
    for section in manifest.objects.iter().flat_map(|object| &object.sections) {
        let bytes: &mut u64 = all.entry(section.vertex).or_default();
        *bytes = bytes.saturating_add(section.length);
    }
    manifest.vertices.iter().map(|vertex| all.get(&vertex.id).copied().unwrap_or(0)).collect()
}

/// `2026-01-02 03:04:05`.
fn time(milliseconds: u64) -> String {
    let time = i64::try_from(milliseconds).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    time.map_or("unknown".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// `512 B`, `1.5 KiB`, `2.0 GiB`.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut shown = format!("{bytes} B");
    for unit in units.iter().take_while(|_| bytes >= 1024) {
        value /= 1024.0;
        shown = format!("{value:.1} {unit}");
        // What would be rounded to 1024.0 is one of the next unit.
        if value < 1023.95 {
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests;
