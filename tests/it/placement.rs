//! Where strategies put workers, on any cluster.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use skitter::id::{NodeId, Tag};
use skitter::workflow::{Cluster, Deployment, NodeInfo, Place, Role};

fn tag(name: &str) -> Tag {
    Tag::new(name).expect("a tag")
}

/// Tags of which a node has some; `c` is that of none.
fn tags() -> [Tag; 3] {
    ["a", "b", "c"].map(tag)
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let node = (0..5usize, btree_set(0..2usize, 0..3), 0..3u32);
    (vec(node, 1..7), proptest::option::of(1..20usize)).prop_map(|(nodes, parallelism)| {
        let node = |(number, (cores, tagged, incarnation)): (u32, (usize, BTreeSet<usize>, u32))| NodeInfo {
            id: NodeId { number, incarnation },
            name: format!("node{number}"),
            cores,
            tags: tagged.into_iter().map(|tag| tags()[tag].clone()).collect(),
        };
        let nodes = (0u32..).zip(nodes).map(node).collect();
        Cluster::new(nodes).expect("a cluster").with_parallelism(parallelism)
    })
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::Any),
        (0..8u32, 0..3u32).prop_map(|(number, incarnation)| Place::On(NodeId { number, incarnation })),
        (0..12usize).prop_map(Place::With),
        (0..12usize).prop_map(Place::Avoid),
        (0..3usize).prop_map(|tag| Place::Tagged(tags()[tag].clone())),
    ]
}

/// How many workers there are on each node.
fn load(cluster: &Cluster, deployment: &Deployment) -> Vec<usize> {
    let on = |node: &NodeInfo| deployment.workers.iter().filter(|worker| worker.node == node.id).count();
    cluster.nodes().iter().map(on).collect()
}

/// Whether these numbers of workers are as even as their sum allows, the first nodes having more.
fn is_even(load: &[usize]) -> bool {
    load.is_sorted_by(|a, b| a >= b) && load.first().copied().unwrap_or(0) <= load.last().copied().unwrap_or(0) + 1
}

proptest! {
    #[test]
    fn nodes_have_as_many_workers_as_asked_for(cluster in cluster(), n in 0..30usize) {
        prop_assert_eq!(load(&cluster, &cluster.on_all_workers()), vec![1; cluster.nodes().len()]);
        prop_assert_eq!(load(&cluster, &cluster.n_times_on_all_workers(n)), vec![n; cluster.nodes().len()]);
        let spread = cluster.on_n(n);
        prop_assert_eq!(spread.workers.len(), n);
        prop_assert!(is_even(&load(&cluster, &spread)), "{:?}", spread);
        let all_cores = load(&cluster, &cluster.on_all_worker_cores());
        match cluster.parallelism() {
            Some(n) => prop_assert!(is_even(&all_cores) && all_cores.iter().sum::<usize>() == n),
            None => {
                let cores: Vec<usize> = cluster.nodes().iter().map(|node| node.cores.max(1)).collect();
                prop_assert_eq!(all_cores, cores);
            }
        }
    }

    #[test]
    fn only_nodes_with_the_tag_are_used_if_there_are_any(cluster in cluster(), tag in 0..3usize) {
        let tag = tags()[tag].clone();
        let has = |node: &NodeInfo| node.tags.contains(&tag);
        let any = cluster.nodes().iter().any(has);
        for deployment in [cluster.on_tagged_workers(&tag), cluster.on_tagged_worker_cores(&tag)] {
            prop_assert_eq!(deployment.warnings.is_empty(), any);
            let named = format!("`{tag}`");
            prop_assert!(deployment.warnings.iter().all(|warning| warning.contains(&named)));
            prop_assert!(!deployment.workers.is_empty());
            let load = load(&cluster, &deployment);
            let strangers = cluster.nodes().iter().zip(load).filter(|(node, n)| *n > 0 && !has(node)).count();
            prop_assert_eq!(strangers > 0, !any);
        }
        let fit: Vec<&NodeInfo> = cluster.nodes().iter().filter(|node| has(node) || !any).collect();
        let cores = cluster.on_tagged_worker_cores(&tag).workers.len();
        let expected = cluster.parallelism().unwrap_or(fit.iter().map(|node| node.cores.max(1)).sum());
        prop_assert_eq!(cores, expected);
        prop_assert_eq!(cluster.on_tagged_workers(&tag).workers.len(), fit.len());
    }

    #[test]
    fn wishes_are_met_one_after_the_other(cluster in cluster(), places in vec(place(), 0..10)) {
        let role = |n: usize| if n.is_multiple_of(2) { Role::WORKER } else { Role::new("odd") };
        let wishes: Vec<(Role, Place)> = places.iter().enumerate().map(|(n, place)| (role(n), place.clone())).collect();
        let there = |id: &NodeId| cluster.nodes().iter().any(|node| node.id == *id);
        let possible = places.iter().enumerate().all(|(n, place)| match place {
            Place::On(id) => there(id),
            Place::With(other) | Place::Avoid(other) => *other < n,
            Place::Any | Place::Tagged(_) => true,
        });
        let placed = cluster.place(&wishes);
        prop_assert_eq!(placed.is_ok(), possible, "{:?}", placed);
        let Ok(deployment) = placed else { return Ok(()) };
        prop_assert_eq!(deployment.workers.len(), wishes.len());

        let mut load: BTreeMap<NodeId, usize> = cluster.nodes().iter().map(|node| (node.id, 0)).collect();
        let mut warned = 0;
        for (n, (worker, place)) in deployment.workers.iter().zip(&places).enumerate() {
            prop_assert_eq!(&worker.role, &role(n));
            let on = worker.node;
            let least = |fits: &dyn Fn(&NodeInfo) -> bool| {
                let fit = cluster.nodes().iter().filter(|node| fits(node));
                fit.map(|node| load[&node.id]).min()
            };
            match place {
                Place::Any => prop_assert_eq!(Some(load[&on]), least(&|_| true)),
                Place::On(id) => prop_assert_eq!(on, *id),
                Place::With(other) => prop_assert_eq!(on, deployment.workers[*other].node),
                Place::Avoid(other) => {
                    let avoided = deployment.workers[*other].node;
                    prop_assert_eq!(on == avoided, cluster.nodes().len() == 1);
                    if on != avoided {
                        prop_assert_eq!(Some(load[&on]), least(&|node| node.id != avoided));
                    }
                }
                Place::Tagged(tag) => match least(&|node| node.tags.contains(tag)) {
                    Some(least) => {
                        prop_assert!(cluster.nodes().iter().any(|node| node.id == on && node.tags.contains(tag)));
                        prop_assert_eq!(load[&on], least);
                    }
                    None => warned += 1,
                },
            }
            *load.entry(on).or_default() += 1;
        }
        prop_assert_eq!(deployment.warnings.len(), warned);
        prop_assert_eq!(cluster.place(&wishes), Ok(deployment));
    }
}

#[test]
fn a_cluster_has_nodes_and_each_once() {
    assert!(Cluster::new(Vec::new()).is_err());
    let node = Cluster::simulated(1, 1).nodes()[0].clone();
    let error = Cluster::new(vec![node.clone(), node]).expect_err("one node, twice");
    assert_eq!(error.to_string(), "node 0 is in the cluster twice");
}
