//! Random workflows: what is wrong is found, and what is right does what it says.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
// Not that of Skitter.
use proptest::strategy::Strategy;
use skitter::id::VertexId;
use skitter::operations::{Accept, Collected, Reject, Union};
use skitter::prelude::*;
use skitter::runtime::{Runtime, Settings};
use skitter::workflow::{Error, In, Shared, Survey};

/// What is done to the streams that are there; each step adds one or two.
#[derive(Clone, Debug)]
enum Step {
    Source(u64),
    /// Runs in the worker before it.
    Chained(Index),
    /// Has workers of its own.
    Placed(Index),
    /// Both ports of a filter.
    Ports(Index),
    Union(Index, Index),
    /// Several links to one in port.
    Hub(Index, Index),
    Nested(Vec<Step>, Index),
}

fn steps(depth: u32) -> BoxedStrategy<Vec<Step>> {
    let any_stream = any::<Index>;
    let flat = prop_oneof![
        (1..5u64).prop_map(Step::Source),
        any_stream().prop_map(Step::Chained),
        any_stream().prop_map(Step::Placed),
        any_stream().prop_map(Step::Ports),
        (any_stream(), any_stream()).prop_map(|(a, b)| Step::Union(a, b)),
        (any_stream(), any_stream()).prop_map(|(a, b)| Step::Hub(a, b)),
    ];
    if depth == 0 {
        return vec(flat, 1..6).boxed();
    }
    let nested = (steps(depth - 1), any_stream()).prop_map(|(steps, stream)| Step::Nested(steps, stream));
    vec(prop_oneof![5 => flat, 2 => nested], 1..6).boxed()
}

/// A stream, and the records that it has to give, in order of size.
type Known = (Stream<Shared<u64>>, Vec<u64>);

fn sorted(mut records: Vec<u64>) -> Vec<u64> {
    records.sort_unstable();
    records
}

/// Takes the steps from the streams that are there, and returns all streams.
fn take(workflow: &WorkflowBuilder, steps: &[Step], mut streams: Vec<Known>) -> Vec<Known> {
    let pick = |streams: &[Known], index: &Index| index.get(streams).clone();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Chained(_)
            | Step::Placed(_)
            | Step::Ports(_)
            | Step::Union(..)
            | Step::Hub(..)
            | Step::Nested(..)
                if streams.is_empty() => {}
            Step::Source(count) => {
                let count = *count;
                let records = (0..count).map(|n| n * 3).collect();
                streams.push((workflow.source(StreamSource::new(move || (0..count).map(|n| n * 3))).shared(), records));
            }
            Step::Chained(stream) => {
                let (stream, records) = pick(&streams, stream);
                streams.push((stream.map(|n| n + 1).shared(), records.iter().map(|n| n + 1).collect()));
            }
            Step::Placed(stream) => {
                let (stream, records) = pick(&streams, stream);
                streams
                    .push((stream.map(|n| n + 2).with(RoundRobin).shared(), records.iter().map(|n| n + 2).collect()));
            }
            Step::Ports(stream) => {
                let (stream, records) = pick(&streams, stream);
                let ports = stream.filter(|n| n % 2 == 0).ports();
                let (even, odd) = records.iter().partition(|n| **n % 2 == 0);
                streams.push((ports.stream(Accept).shared(), even));
                streams.push((ports.stream(Reject).shared(), odd));
            }
            Step::Union(one, other) => {
                let ((one, mut records), (other, more)) = (pick(&streams, one), pick(&streams, other));
                records.extend(more);
                streams.push((one.union(other).shared(), sorted(records)));
            }
            Step::Hub(one, other) => {
                let ((one, mut records), (other, more)) = (pick(&streams, one), pick(&streams, other));
                records.extend(more);
                let (inputs, both) = workflow.vertex(Union::new(), RoundRobin).open();
                one.to(&inputs.port(In));
                other.to(&inputs.port(In));
                streams.push((both.shared(), sorted(records)));
            }
            Step::Nested(steps, stream) => {
                let (stream, records) = pick(&streams, stream);
                let inner = WorkflowBuilder::new();
                let inside = take(&inner, steps, vec![(inner.input("in"), records)]);
                let mut outputs = Vec::new();
                for (output, (stream, records)) in inside.into_iter().enumerate() {
                    inner.output(&format!("out {output}"), stream);
                    outputs.push(records);
                }
                let nested = workflow.nest(&format!("nest {number}"), inner.build().expect("a valid inner workflow"));
                nested.input("in", stream);
                for (output, records) in outputs.into_iter().enumerate() {
                    streams.push((nested.output(&format!("out {output}")), records));
                }
            }
        }
    }
    streams
}

/// Builds a workflow of which each stream is collected, with what is to be found there.
fn build(steps: &[Step]) -> (Workflow, Vec<(Collected<u64>, Vec<u64>)>) {
    let builder = WorkflowBuilder::new();
    let first = (builder.source(StreamSource::new(|| 0..4u64)).shared(), vec![0, 1, 2, 3]);
    let mut all = Vec::new();
    for (stream, records) in take(&builder, steps, vec![first]) {
        let collected = Collected::new();
        stream.collect(&collected);
        all.push((collected, sorted(records)));
    }
    (builder.build().expect("a valid workflow"), all)
}

/// The vertices that a stage runs besides its own and those that it sends to, as the links tell it.
fn reached(workflow: &Workflow, stage: VertexId) -> (Vec<VertexId>, Vec<VertexId>) {
    let stages: BTreeSet<VertexId> = workflow.stages().map(|(vertex, _, _)| vertex).collect();
    let (mut inside, mut receivers, mut open) = (Vec::new(), Vec::new(), vec![stage]);
    while let Some(vertex) = open.pop() {
        for link in workflow.links().iter().filter(|link| link.from.0 == vertex) {
            if stages.contains(&link.to.0) {
                receivers.push(link.to.0);
            } else {
                inside.push(link.to.0);
                open.push(link.to.0);
            }
        }
    }
    inside.sort_unstable();
    receivers.sort_unstable();
    (inside, receivers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// What is joined by type is what is drawn, however deep it is nested.
    #[test]
    fn stages_follow_the_links(steps in steps(2)) {
        let (workflow, _) = build(&steps);
        for (number, vertex) in workflow.vertices().iter().enumerate() {
            prop_assert_eq!(vertex.id, VertexId(number as u32));
            let nests: String = vertex.nest.iter().flat_map(|nest| [nest, "/"]).collect();
            prop_assert!(vertex.name.starts_with(&nests), "{} is in {}", vertex.name, nests);
        }
        for (vertex, offset, factory) in workflow.stages() {
            let mut survey = Survey::new(offset);
            factory.survey(&mut survey);
            let (mut fused, mut receivers) = (survey.fused, survey.receivers);
            fused.sort_unstable();
            receivers.sort_unstable();
            prop_assert_eq!((fused, receivers), reached(&workflow, vertex), "stage {:?}", vertex);
        }
    }

    /// Equal steps give equal fingerprints and drawings, others give others.
    #[test]
    fn fingerprints_are_those_of_the_graph(one in steps(1), other in steps(1)) {
        let [(a, _), (again, _), (b, _)] = [build(&one), build(&one), build(&other)];
        prop_assert_eq!(a.fingerprint(), again.fingerprint());
        prop_assert_eq!((a.to_dot(), a.to_json()), (again.to_dot(), again.to_json()));
        let equal = a.vertices() == b.vertices() && a.links() == b.links();
        prop_assert_eq!(a.fingerprint() == b.fingerprint(), equal);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// Every record arrives wherever it should, once.
    #[test]
    fn records_follow_the_links(steps in steps(2), cores in 1..4usize) {
        let (workflow, all) = build(&steps);
        let runtime = Runtime::with(Settings { cores, ..Settings::default() }).expect("a runtime");
        runtime.deploy("random", workflow).expect("deployable").wait().expect("it completes");
        for (collected, records) in all {
            prop_assert_eq!(sorted(collected.take()), records);
        }
    }
}

/// Vertices and links as they come, most of them wrong.
#[derive(Clone, Debug)]
struct Tangle {
    names: Vec<Option<u8>>,
    links: Vec<(usize, usize)>,
    /// Which vertices a source is linked to, and which streams are discarded.
    fed: Vec<bool>,
    ended: Vec<bool>,
}

fn tangle() -> impl Strategy<Value = Tangle> {
    (1..9usize).prop_flat_map(|size| {
        let some = |weight| vec(proptest::bool::weighted(weight), size);
        // Some tangles have links forward only, and so no cycle.
        let links = prop_oneof![
            vec((0..size, 0..size), 0..12),
            vec((0..size, 0..size).prop_map(|(a, b)| (a.min(b), a.max(b) + 1)), 0..12)
                .prop_map(move |links| links.into_iter().filter(|(_, to)| *to < size).collect()),
        ];
        let names = vec(proptest::option::weighted(0.3, 0..30u8), size);
        (names, links, some(0.8), some(0.8)).prop_map(|(names, links, fed, ended)| Tangle { names, links, fed, ended })
    })
}

fn tie(tangle: &Tangle) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let (mut inputs, mut streams) = (Vec::new(), Vec::new());
    for name in &tangle.names {
        let mut vertex = workflow.vertex(Union::<u64>::new(), RoundRobin);
        if let Some(name) = name {
            vertex = vertex.named(&format!("v{name}"));
        }
        let (ports, stream) = vertex.open();
        inputs.push(ports.port(In));
        streams.push(stream.shared());
    }
    for (from, to) in &tangle.links {
        streams[*from].clone().to(&inputs[*to]);
    }
    for (input, _) in inputs.iter().zip(&tangle.fed).filter(|(_, fed)| **fed) {
        workflow.source(StreamSource::new(|| 0..3u64)).to(input);
    }
    for (stream, _) in streams.iter().zip(&tangle.ended).filter(|(_, ended)| **ended) {
        stream.clone().discard();
    }
    workflow.build()
}

proptest! {
    #[test]
    fn tangles_are_found(tangle in tangle()) {
        let Tangle { names, links, fed, ended } = &tangle;
        let twice = names.iter().enumerate().find(|(at, name)| name.is_some() && names[..*at].contains(name));
        let size = names.len();
        let unfed = |vertex: usize| !fed[vertex] && links.iter().all(|(_, to)| *to != vertex);
        let open = |vertex: usize| !ended[vertex] && links.iter().all(|(from, _)| *from != vertex);
        let faulty = (0..size).find(|vertex| unfed(*vertex) || open(*vertex));
        // Vertices that cannot be put in order, one after those before it.
        let mut left: Vec<usize> = (0..size).collect();
        let waits = |vertex: usize, left: &[usize]| links.iter().any(|(from, to)| *to == vertex && left.contains(from));
        while let Some(free) = left.iter().position(|vertex| !waits(*vertex, &left)) {
            left.remove(free);
        }
        let named = |vertex: usize, name: &str| {
            names[vertex].map_or_else(|| name.starts_with("union"), |number| name == format!("v{number}"))
        };
        match tie(&tangle) {
            Err(Error::DuplicateName(name)) => {
                prop_assert_eq!(Some(name), twice.and_then(|(_, name)| *name).map(|name| format!("v{name}")));
            }
            _ if twice.is_some() => prop_assert!(false, "a name was given twice"),
            Err(Error::UnlinkedInPort { vertex, port }) => {
                prop_assert!(faulty.is_some_and(|faulty| unfed(faulty) && named(faulty, &vertex)));
                prop_assert_eq!(port, "in");
            }
            Err(Error::UnlinkedOutPort { vertex, port }) => {
                prop_assert!(faulty.is_some_and(|faulty| open(faulty) && named(faulty, &vertex)));
                prop_assert_eq!(port, "out");
            }
            _ if faulty.is_some() => prop_assert!(false, "a port is not linked"),
            Err(Error::Cycle(cycle)) => {
                // The names of vertices that were given none are not known here, but their number is.
                let (first, last) = (cycle.first().cloned(), cycle.last().cloned());
                prop_assert!(cycle.len() > 1 && first == last);
                let different: BTreeSet<_> = cycle.iter().collect();
                prop_assert_eq!(different.len(), cycle.len() - 1, "{:?} runs through a vertex twice", cycle);
                let joins = |from: &str, to: &str| links.iter().any(|(a, b)| named(*a, from) && named(*b, to));
                prop_assert!(cycle.windows(2).all(|pair| joins(&pair[0], &pair[1])), "{:?} is not there", cycle);
                prop_assert!(!left.is_empty());
            }
            Err(error) => prop_assert!(false, "{}", error),
            Ok(workflow) => {
                prop_assert!(left.is_empty());
                let names: BTreeSet<_> = workflow.vertices().iter().map(|vertex| &vertex.name).collect();
                prop_assert_eq!(names.len(), workflow.vertices().len());
                prop_assert_eq!(workflow.links().len(), links.len() + fed.iter().filter(|fed| **fed).count());
            }
        }
    }
}
