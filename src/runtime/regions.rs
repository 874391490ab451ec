//! Which workers of a deployment depend on each other: these fail together, and are started anew together, while all
//! others go on. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::Outline;
use crate::id::{NodeId, VertexId};

/// The number of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(pub u32);

/// Which workers a region has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub region: Region,
    /// Those of these vertices,
    pub vertices: BTreeSet<VertexId>,
    /// on the node with this number, if there is one.
    pub node: Option<u32>,
}

impl Scope {
    /// Whether it has the workers of a vertex on a node.
    pub fn covers(&self, vertex: VertexId, node: NodeId) -> bool {
        self.vertices.contains(&vertex) && self.node.is_none_or(|number| number == node.number)
    }

    /// Whether it has workers on a node.
    pub fn is_on(&self, node: NodeId, outline: &Outline) -> bool {
        let on =
            |vertex: &VertexId| outline.workers.get(vertex).is_some_and(|of| of.iter().any(|info| info.node == node));
        self.node.is_none_or(|number| number == node.number) && self.vertices.iter().any(on)
    }
}

/// All regions of a deployment, by their numbers; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions(Vec<Scope>);

impl Regions {
    /// All workers depend on each other.
    pub fn one(outline: &Outline) -> Regions {
        let vertices = outline.workers.keys().copied().collect();
        Regions(vec![Scope { region: Region::default(), vertices, node: None }])
    }

    /// Vertices that a link joins are in the same region. Workers of a vertex that no link leads to, and that do not
    /// send to each other, only depend on their node.
    pub fn of(outline: &Outline) -> Regions {
        let mut joined: BTreeMap<VertexId, BTreeSet<VertexId>> =
            outline.workers.keys().map(|vertex| (*vertex, BTreeSet::from([*vertex]))).collect();
        for (from, to) in outline.links.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to))) {
            let (Some(a), Some(b)) = (joined.get(from), joined.get(to)) else { continue };
            let both: BTreeSet<VertexId> = a.union(b).copied().collect();
            both.iter().for_each(|vertex| drop(joined.insert(*vertex, both.clone())));
        }
        let distinct: BTreeSet<BTreeSet<VertexId>> = joined.into_values().collect();
        let has_links = |vertex: &VertexId| outline.links.get(vertex).is_some_and(|to| !to.is_empty());
        let is_alone = |vertex: &VertexId| !outline.peers.contains(vertex) && !has_links(vertex);
        let mut scopes = Vec::new();
        for vertices in distinct {
            let nodes: BTreeSet<u32> = match vertices.first() {
                Some(vertex) if vertices.len() == 1 && is_alone(vertex) => outline
                    .workers
                    .get(vertex)
                    .into_iter()
                    .flat_map(|of| of.iter().map(|info| info.node.number))
                    .collect(),
                _ => BTreeSet::new(),
            };
            let nodes = if nodes.is_empty() { vec![None] } else { nodes.into_iter().map(Some).collect() };
            for node in nodes {
                scopes.push(Scope { region: Region(scopes.len() as u32), vertices: vertices.clone(), node });
            }
        }
        if scopes.is_empty() { Regions::one(outline) } else { Regions(scopes) }
    }

    /// All of them.
    pub fn scopes(&self) -> &[Scope] {
        &self.0
    }

    /// Which workers a region has.
    pub fn scope(&self, region: Region) -> Option<&Scope> {
        self.0.get(region.0 as usize)
    }

    /// The region of the workers of a vertex on a node; none if that is new to it.
    pub fn of_worker(&self, vertex: VertexId, node: NodeId) -> Option<Region> {
        self.0.iter().find(|scope| scope.covers(vertex, node)).map(|scope| scope.region)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::workflow::{Role, WorkerInfo};

    fn node(number: u32) -> NodeId {
        NodeId { number, incarnation: 1 }
    }

    fn outline(places: &[&[u32]], links: &[(u32, u32)], peers: &[u32]) -> Outline {
        let info = |number: &u32| WorkerInfo { node: node(*number), role: Role::WORKER };
        let workers = |nodes: &&[u32]| nodes.iter().map(info).collect();
        let mut outline = Outline {
            workers: places.iter().zip(0..).map(|(nodes, vertex)| (VertexId(vertex), workers(nodes))).collect(),
            peers: peers.iter().copied().map(VertexId).collect(),
            ..Outline::default()
        };
        for (from, to) in links {
            outline.links.entry(VertexId(*from)).or_default().push(VertexId(*to));
        }
        outline
    }

    fn shown(regions: &Regions) -> Vec<(Vec<u32>, Option<u32>)> {
        regions.scopes().iter().map(|scope| (scope.vertices.iter().map(|v| v.0).collect(), scope.node)).collect()
    }

    #[test]
    fn what_links_join_is_one_region() {
        let outline = outline(&[&[1, 2], &[1, 2], &[1], &[2], &[2]], &[(0, 1), (2, 4), (3, 4)], &[]);
        let regions = Regions::of(&outline);
        assert_eq!(shown(&regions), [(vec![0, 1], None), (vec![2, 3, 4], None)]);
        assert_eq!(regions.of_worker(VertexId(4), node(2)), Some(Region(1)));
        assert_eq!(regions.of_worker(VertexId(0), node(7)), Some(Region(0)), "nodes may join it");
    }

    #[test]
    fn workers_on_their_own_depend_on_their_node() {
        let outline = outline(&[&[1, 1, 2], &[1, 2]], &[], &[1]);
        let regions = Regions::of(&outline);
        assert_eq!(shown(&regions), [(vec![0], Some(1)), (vec![0], Some(2)), (vec![1], None)]);
        assert_eq!(regions.of_worker(VertexId(0), node(7)), None);
        assert!(regions.scopes()[0].is_on(node(1), &outline) && !regions.scopes()[0].is_on(node(2), &outline));
    }

    proptest! {
        #[test]
        fn each_worker_is_in_one_region_and_links_stay_within(
            places in vec(vec(1..4u32, 1..4), 1..7),
            links in vec((0..7u32, 0..7u32), 0..7),
            peers in btree_set(0..7u32, 0..3),
        ) {
            let count = places.len() as u32;
            let links: Vec<_> = links.into_iter().filter(|(from, to)| *from < count && *to < count).collect();
            let places: Vec<&[u32]> = places.iter().map(Vec::as_slice).collect();
            let peers: Vec<u32> = peers.into_iter().collect();
            let outline = outline(&places, &links, &peers);
            let regions = Regions::of(&outline);
            for (vertex, workers) in &outline.workers {
                for info in workers.iter() {
                    let covering = regions.scopes().iter().filter(|scope| scope.covers(*vertex, info.node)).count();
                    prop_assert_eq!(covering, 1);
                    let region = regions.of_worker(*vertex, info.node);
                    let receivers = outline.links.get(vertex).into_iter().flatten();
                    let own = outline.peers.contains(vertex).then_some(vertex);
                    for to in receivers.chain(own) {
                        for other in outline.workers[to].iter() {
                            prop_assert_eq!(regions.of_worker(*to, other.node), region);
                        }
                    }
                }
            }
        }
    }
}
