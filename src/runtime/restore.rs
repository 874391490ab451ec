//! Who goes on with what was saved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::keeper::Origin;
use super::plan::{Outline, PlannedStage, workers_of};
use super::vault::Vault;
use super::worker::Inheritance;
use crate::actor;
use crate::codec::KEY_GROUPS;
use crate::id::{Part, VertexId, WorkerId};
use crate::state::{Manifest, Run, SavedObject, Section, StateError, read_section, spool};
use crate::workflow::{Rescale, VertexInfo, owner_of_group};

/// How many objects are read at the same time: a worker has up to 17 of them, and a cloud takes some 50 ms for each.
const AT_ONCE: usize = 8;
/// The same, of those that are not kept in memory.
const AT_ONCE_SPOOLED: usize = 2;
/// How many bytes of what its workers go on with a node keeps in memory until they have; if there are more, they are in
/// files.
const MOST_IN_MEMORY: u64 = if cfg!(test) { 1 << 10 } else { 512 << 20 };

/// What was saved and does not fit the workflow.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is of something else, in these ways.
    #[error(
        "checkpoint {checkpoint} does not fit the workflow: {}; with --allow-dropped-state that is left behind",
        .reasons.join("; ")
    )]
    Other {
        /// Its number.
        checkpoint: u64,
        /// What is different.
        reasons: Vec<String>,
    },
}

/// What a worker is to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heir {
    /// Objects by their number in the manifest, and which sections of them.
    pub sections: Vec<(usize, Section)>,
    pub finished: bool,
    pub drained: bool,
}

/// How each vertex hands on what was saved.
pub type Rescales = BTreeMap<VertexId, Rescale>;

/// How the vertices of a plan do.
pub fn rescales(stages: &BTreeMap<VertexId, PlannedStage>) -> Rescales {
    stages.iter().map(|(vertex, stage)| (*vertex, stage.factory.rescale())).collect()
}

/// The workers of a workflow that goes on at a checkpoint, with what each is to read; and the vertices that were there.
/// They are found by their names. Pure.
///
/// # Errors
/// With all that does not fit: state of a vertex that is not there any more or has become another one, unless that is
/// to be dropped; and workers that are not as many as they were, where the strategy cannot do with that.
pub fn deal(
    manifest: &Manifest,
    vertices: &[VertexInfo],
    workers: &BTreeMap<VertexId, usize>,
    rescales: &Rescales,
    drop_unfit: bool,
) -> Result<(BTreeMap<WorkerId, Heir>, BTreeSet<VertexId>), Vec<String>> {
    let (names, mut reasons) = mapping(manifest, vertices);
    if drop_unfit {
        reasons.clear();
    }
    let mut heirs: BTreeMap<WorkerId, Heir> = BTreeMap::new();
    let all = workers.iter().flat_map(|(vertex, count)| workers_of(*vertex, *count));
    all.for_each(|worker| drop(heirs.insert(worker, Heir::default())));
    for saved in manifest.vertices.iter().filter(|saved| saved.workers > 0) {
        let Some(vertex) = names.get(&saved.id) else { continue };
        let Some(count) = workers.get(vertex).copied() else { continue };
        let dealing =
            Dealing { manifest, names: &names, from: saved.id, to: *vertex, before: saved.workers as usize, count };
        let rescale = rescales.get(vertex).copied().unwrap_or_default();
        if let Err(why) = dealing.deal(rescale, &mut heirs) {
            reasons.push(format!("vertex `{}` had {} workers and has {count}: {why}", saved.name, saved.workers));
        }
    }
    if reasons.is_empty() { Ok((heirs, names.into_values().collect())) } else { Err(reasons) }
}

/// The vertices that are there again, by the number that they had; and what is different of those that have kept
/// something and are not.
fn mapping(manifest: &Manifest, vertices: &[VertexInfo]) -> (BTreeMap<VertexId, VertexId>, Vec<String>) {
    let (mut names, mut reasons) = (BTreeMap::new(), Vec::new());
    let holding: BTreeSet<VertexId> =
        manifest.objects.iter().flat_map(|object| &object.sections).map(|section| section.vertex).collect();
    for saved in &manifest.vertices {
        let name = &saved.name;
        let other = match vertices.iter().find(|info| info.name == *name) {
            None => format!("vertex `{name}` is not there any more"),
            Some(info) if info.operation != saved.operation => {
                format!("vertex `{name}` was `{}` and is `{}`", saved.operation, info.operation)
            }
            Some(info) if info.strategy != saved.strategy => {
                format!("vertex `{name}` was distributed by `{}` and is by `{}`", saved.strategy, info.strategy)
            }
            Some(info) if info.types != saved.types => {
                format!("the types of the records of vertex `{name}` have changed")
            }
            Some(info) => {
                names.insert(saved.id, info.id);
                continue;
            }
        };
        if holding.contains(&saved.id) {
            reasons.push(other);
        }
    }
    (names, reasons)
}

/// The state of the workers of a vertex.
struct Dealing<'a> {
    manifest: &'a Manifest,
    names: &'a BTreeMap<VertexId, VertexId>,
    from: VertexId,
    to: VertexId,
    before: usize,
    count: usize,
}

impl Dealing<'_> {
    /// The objects of the workers of the vertex, each with its number.
    fn objects(&self) -> impl Iterator<Item = (usize, &SavedObject)> {
        self.manifest.objects.iter().enumerate().filter(|(_, object)| object.worker.vertex == self.from)
    }

    /// The vertex that a section is for, as it is numbered now.
    fn renamed(&self, section: &Section) -> Option<Section> {
        Some(Section { vertex: *self.names.get(&section.vertex)?, ..section.clone() })
    }

    fn deal(&self, rescale: Rescale, heirs: &mut BTreeMap<WorkerId, Heir>) -> Result<(), &'static str> {
        let heir = |heirs: &'_ mut BTreeMap<WorkerId, Heir>, index: usize, deal: &mut dyn FnMut(&mut Heir)| {
            heirs.entry(WorkerId { vertex: self.to, index: index as u32 }).and_modify(deal);
        };
        let of = |saved: &&crate::state::SavedWorker| saved.worker.vertex == self.from;
        if self.before == self.count {
            for saved in self.manifest.workers.iter().filter(of) {
                heir(heirs, saved.worker.index as usize, &mut |heir| {
                    (heir.finished, heir.drained) = (saved.finished, saved.drained);
                });
            }
            for (number, object) in self.objects() {
                for section in object.sections.iter().filter_map(|section| self.renamed(section)) {
                    heir(heirs, object.worker.index as usize, &mut |heir| {
                        heir.sections.push((number, section.clone()));
                    });
                }
            }
            return Ok(());
        }
        let finished: BTreeSet<u32> = self
            .manifest
            .workers
            .iter()
            .filter(of)
            .filter(|saved| saved.finished)
            .map(|saved| saved.worker.index)
            .collect();
        let all_finished = finished.len() == self.before;
        for index in 0..self.count {
            heir(heirs, index, &mut |heir| heir.finished = all_finished);
        }
        let mut unit = 0;
        for (number, object) in self.objects() {
            // What a worker that has ended has kept has had its effect.
            if finished.contains(&object.worker.index) && !all_finished {
                continue;
            }
            for section in &object.sections {
                let Some(renamed) = self.renamed(section) else { continue };
                let own = section.vertex == self.from;
                let to = match (rescale, section.part) {
                    (Rescale::Dealt, Part::Group(group)) if own && group < KEY_GROUPS => {
                        owner_of_group(group, self.count)
                    }
                    (Rescale::Dealt, Part::Unit(_)) if own => {
                        unit += 1;
                        (unit - 1) % self.count
                    }
                    (Rescale::Given, Part::Whole(_) | Part::Group(_) | Part::Unit(_))
                    | (Rescale::Dealt | Rescale::Given, Part::Shared(_))
                        if own =>
                    {
                        for index in 0..self.count {
                            heir(heirs, index, &mut |heir| heir.sections.push((number, renamed.clone())));
                        }
                        continue;
                    }
                    (_, Part::Flight { .. }) => return Err("batches were under way between them"),
                    _ if own => return Err("its strategy cannot hand on what each has kept"),
                    _ => return Err("an operation that runs in them has kept something for each"),
                };
                heir(heirs, to, &mut |heir| heir.sections.push((number, renamed.clone())));
            }
        }
        Ok(())
    }
}

/// Reads what workers go on with.
///
/// # Errors
/// When it cannot be read, or does not fit.
pub async fn load(
    origin: &Origin,
    vault: &Vault,
    outline: &Outline,
    (rescales, drop_unfit): (&Rescales, bool),
    here: impl Fn(WorkerId) -> bool,
) -> Result<BTreeMap<WorkerId, Inheritance>, Unfit> {
    let (checkpoint, run) =
        (origin.checkpoint, origin.open().map_err(|error| StateError::Elsewhere(error.to_string()))?);
    let manifest = vault.manifest(&run, origin).await?;
    let workers = outline.workers.iter().map(|(vertex, workers)| (*vertex, workers.len())).collect();
    let (heirs, known) = deal(&manifest, &outline.vertices, &workers, rescales, drop_unfit)
        .map_err(|reasons| Unfit::Other { checkpoint, reasons })?;
    let mut objects: BTreeMap<usize, Vec<(WorkerId, Section)>> = BTreeMap::new();
    let mut inheritances: BTreeMap<WorkerId, Inheritance> = BTreeMap::new();
    for (worker, heir) in heirs.into_iter().filter(|(worker, _)| here(*worker)) {
        let Heir { sections, finished, drained } = heir;
        let parts = known.iter().map(|vertex| (*vertex, BTreeMap::new())).collect();
        inheritances.insert(worker, Inheritance { parts, finished, drained });
        for (number, section) in sections {
            objects.entry(number).or_default().push((worker, section));
        }
    }
    let bytes: u64 = objects.values().flatten().map(|(_, section)| section.length).sum();
    let spools = bytes > MOST_IN_MEMORY;
    // Made before they are run, so that the compiler sees that whoever waits for them can do so anywhere.
    let mut reads = Vec::new();
    for (number, wanted) in objects {
        let Some(object) = manifest.objects.get(number).cloned() else { continue };
        reads.push(read(vault.clone(), run.clone(), (number, object), wanted, spools));
    }
    let mut reads = stream::iter(reads).buffer_unordered(if spools { AT_ONCE_SPOOLED } else { AT_ONCE });
    while let Some(parts) = reads.try_next().await? {
        for (worker, vertex, part, bytes) in parts {
            let Some(inheritance) = inheritances.get_mut(&worker) else { continue };
            inheritance.parts.entry(vertex).or_default().insert(part, bytes);
        }
    }
    Ok(inheritances)
}

/// A part of what was saved, and who goes on with it.
type Dealt = (WorkerId, VertexId, Part, Bytes);

/// Reads an object. That its bytes are those that were written is found apart from whoever waits for it, as it takes
/// long.
async fn read(
    vault: Vault,
    run: Run,
    (number, object): (usize, SavedObject),
    wanted: Vec<(WorkerId, Section)>,
    spools: bool,
) -> Result<Vec<Dealt>, StateError> {
    let bytes = vault.object(&run, number, &object).await?;
    let check = move || {
        let bytes = if spools { spool(&bytes).map_err(StateError::Spool)? } else { bytes };
        let part = |(worker, section): (WorkerId, Section)| {
            let part = bytes.slice_ref(read_section(&bytes, &section)?);
            Ok((worker, section.vertex, section.part, part))
        };
        wanted.into_iter().map(part).collect()
    };
    actor::blocking(check).await.unwrap_or_else(|error| Err(StateError::Damaged { what: object.path, why: error }))
}

/// What was read, shared by those who go on with it.
pub type Inherited = Arc<BTreeMap<WorkerId, Inheritance>>;

#[cfg(test)]
mod tests;
