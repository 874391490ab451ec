//! What `build()` finds, and what it says about it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use skitter::operations::{Accept, Collected, Reject};
use skitter::prelude::*;
use skitter::workflow::{Error, In, Intake, Passive, Share, VertexKind};

/// A source that is told its records.
#[derive(Clone)]
struct Told;

impl Operation for Told {
    type In = u64;
    type Out = u64;
    const NAME: &'static str = "told";
}

impl React for Told {
    type State = ();

    fn init(&self) {}

    fn react<E: Emit<u64>>(&self, _state: &mut (), record: u64, emit: &mut E) -> Result<()> {
        emit.emit(record);
        Ok(())
    }
}

impl Passive for Told {
    fn listen(&self, share: Share, intake: &mut Intake<u64>) -> Result<()> {
        let _ = intake.take(vec![share.index as u64]);
        Ok(())
    }
}

/// Passes on; counts how often it is prepared, and refuses its configuration if told so.
#[derive(Clone, Default)]
struct Relay {
    prepared: Arc<AtomicUsize>,
    refuses: bool,
}

impl Operation for Relay {
    type In = u64;
    type Out = u64;
    const NAME: &'static str = "relay";

    fn conf(&mut self) -> Result<()> {
        self.prepared.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.refuses { Err("it will not do".into()) } else { Ok(()) }
    }
}

impl React for Relay {
    type State = ();

    fn init(&self) {}

    fn react<E: Emit<u64>>(&self, _state: &mut (), record: u64, emit: &mut E) -> Result<()> {
        emit.emit(record);
        Ok(())
    }
}

/// A sink.
#[derive(Clone)]
struct Drain;

impl Operation for Drain {
    type In = u64;
    type Out = Infallible;
    const NAME: &'static str = "drain";
    const OUT_PORTS: &'static [&'static str] = &[];
}

impl React for Drain {
    type State = ();

    fn init(&self) {}

    fn react<E: Emit<Infallible>>(&self, _state: &mut (), _record: u64, _emit: &mut E) -> Result<()> {
        Ok(())
    }
}

fn numbers() -> impl skitter::workflow::Source<Out = u64> {
    StreamSource::new(|| 0..10u64)
}

/// The error of a workflow that is not valid.
fn fault(build: impl FnOnce(&WorkflowBuilder)) -> Error {
    let workflow = WorkflowBuilder::new();
    build(&workflow);
    workflow.build().expect_err("the workflow is not valid")
}

fn vertex(name: &str, reason: &str) -> Error {
    Error::Vertex { vertex: name.to_owned(), reason: reason.to_owned() }
}

fn unlinked_out(vertex: &str, port: &str) -> Error {
    Error::UnlinkedOutPort { vertex: vertex.to_owned(), port: port.to_owned() }
}

#[test]
fn an_empty_workflow_is_none() {
    assert_eq!(fault(|_| ()), Error::Empty);
}

#[test]
fn names_are_unique_and_not_empty() {
    let error = fault(|workflow| {
        workflow.source(numbers()).named("a").map(|n| n).named("a").discard();
    });
    assert_eq!(error, Error::DuplicateName("a".to_owned()));
    assert_eq!(fault(|workflow| workflow.source(numbers()).named("").discard()), Error::EmptyName);
}

#[test]
fn vertices_without_a_name_are_numbered_around_those_with_one() {
    let workflow = WorkflowBuilder::new();
    workflow.source(numbers()).map(|n| n).map(|n| n).map(|n| n).map(|n| n).named("map_2").discard();
    let workflow = workflow.build().expect("valid");
    let names: Vec<_> = workflow.vertices().iter().map(|vertex| vertex.name.as_str()).collect();
    assert_eq!(names, ["stream source", "map", "map_3", "map_4", "map_2"]);
}

#[test]
fn a_stream_without_an_end_is_found() {
    assert_eq!(fault(|workflow| drop(workflow.source(numbers()).named("lost"))), unlinked_out("lost", "out"));
    let error = fault(|workflow| drop(workflow.source(numbers()).filter(|n| *n > 3)));
    assert_eq!(error, unlinked_out("filter", "accept"));
}

#[test]
fn a_shared_stream_that_nobody_reads_is_found() {
    assert_eq!(fault(|workflow| drop(workflow.source(numbers()).shared())), unlinked_out("stream source", "out"));
    let error = fault(|workflow| {
        let ports = workflow.source(numbers()).filter(|n| *n > 3).ports();
        ports.stream(Accept).discard();
        drop(ports.stream(Reject).shared());
    });
    assert_eq!(error, unlinked_out("filter", "reject"));
}

#[test]
fn a_port_of_several_can_be_used_once() {
    let error = fault(|workflow| {
        let ports = workflow.source(numbers()).filter(|n| *n > 3).named("big").ports();
        ports.stream(Accept).discard();
        ports.stream(Accept).map(|n| n).discard();
    });
    assert_eq!(error, vertex("big", "an out port was asked for twice; ask once, and share its stream"));
}

#[test]
fn links_know_their_ports() {
    let workflow = WorkflowBuilder::new();
    let ports = workflow.source(numbers()).filter(|n| *n > 3).ports();
    let rejected = ports.stream(Reject).shared();
    rejected.clone().map(|n| n).discard();
    rejected.union(ports.stream(Accept)).discard();
    let workflow = workflow.build().expect("valid");
    let ports: Vec<_> = workflow.links().iter().map(|link| link.from.1).collect();
    assert_eq!(ports, [0, 1, 1, 0]);
}

#[test]
fn an_in_port_that_nothing_leads_to_is_found() {
    let error = fault(|workflow| {
        let (_inputs, stream) = workflow.vertex(Relay::default(), RoundRobin).named("alone").open();
        stream.discard();
    });
    assert_eq!(error, Error::UnlinkedInPort { vertex: "alone".to_owned(), port: "in".to_owned() });
}

#[test]
fn a_cycle_is_told_by_its_vertices() {
    let error = fault(|workflow| {
        let (inputs, stream) = workflow.vertex(Relay::default(), RoundRobin).named("first").open();
        workflow.source(numbers()).to(&inputs.port(In));
        stream.map(|n| n).named("second").to(&inputs.port(In));
    });
    assert_eq!(error, Error::Cycle(["first", "second", "first"].map(str::to_owned).to_vec()));
    assert_eq!(error.to_string(), "the workflow has a cycle: first -> second -> first");
}

#[test]
fn a_cycle_through_a_nested_workflow_is_found() {
    let inner = WorkflowBuilder::new();
    let passed = inner.input::<u64>("in");
    inner.output("out", passed.map(|n| n));
    let inner = inner.build().expect("valid");
    let error = fault(|workflow| {
        let nested = workflow.nest("loop", inner);
        nested.input("in", workflow.source(numbers()));
        nested.input("in", nested.output::<u64>("out").map(|n| n).named("back"));
    });
    let cycle = ["loop/in", "loop/map", "loop/out", "back", "loop/in"].map(str::to_owned).to_vec();
    assert_eq!(error, Error::Cycle(cycle));
}

#[test]
fn a_passive_source_needs_no_link() {
    let workflow = WorkflowBuilder::new();
    workflow.listen(Told).discard();
    let workflow = workflow.build().expect("valid");
    assert!(workflow.vertices()[0].in_ports.is_empty());
}

#[test]
fn a_strategy_that_waits_for_links_distributes_no_source() {
    let error = fault(|workflow| workflow.listen(Told).with(RoundRobin).named("ear").discard());
    assert_eq!(error, vertex("ear", "strategy `round robin` cannot distribute a source"));
}

#[test]
fn nothing_is_linked_to_a_source() {
    let error = fault(|workflow| {
        workflow.source(numbers()).vertex(Told, PassiveSource).discard();
    });
    let reason = "strategy `passive source` makes the records itself, so nothing can be linked to it";
    assert_eq!(error, vertex("told", reason));
}

#[test]
fn a_chained_vertex_needs_a_stream_to_run_in() {
    let error = fault(|workflow| {
        let (inputs, stream) = workflow.vertex(Relay::default(), Chained).named("hub").open();
        workflow.source(numbers()).to(&inputs.port(In));
        stream.discard();
    });
    assert!(
        matches!(&error, Error::Vertex { vertex, reason } if vertex == "hub" && reason.contains("`chained`")),
        "{error}"
    );
}

#[test]
fn a_refused_configuration_names_the_vertex_as_it_is_named_later() {
    let relay = Relay { refuses: true, ..Relay::default() };
    let error = fault(|workflow| workflow.source(numbers()).vertex(relay, RoundRobin).named("mine").discard());
    assert_eq!(error, vertex("mine", "it will not do"));
}

#[test]
fn nothing_stands_behind_a_sink() {
    let error = fault(|workflow| workflow.source(numbers()).vertex(Drain, Sedentary).map(|never| never).discard());
    assert_eq!(error, vertex("drain", "a link has out port 0 of it, counted from 0, but its operation names 0"));
}

#[test]
fn what_is_held_beyond_build_does_no_harm() {
    let workflow = WorkflowBuilder::new();
    let lost = workflow.source(numbers()).named("lost");
    let sink = workflow.source(numbers()).sink(Drain, Sedentary);
    let error = workflow.build().expect_err("two are held");
    assert_eq!(error, unlinked_out("lost", "out"));
    lost.map(|n| n).named("late").parallelism(2).with(RoundRobin).discard();
    drop(sink);

    let workflow = WorkflowBuilder::new();
    let sink = workflow.source(numbers()).sink(Drain, Sedentary);
    let error = workflow.build().expect_err("the sink is held").to_string();
    assert!(error.contains("`drain`") && error.contains("do not hold on to the sink"), "{error}");
    drop(sink);
}

#[test]
fn streams_of_two_workflows_are_kept_apart() {
    let (one, two) = (WorkflowBuilder::new(), WorkflowBuilder::new());
    let (inputs, stream) = two.vertex(Relay::default(), RoundRobin).named("theirs").open();
    stream.discard();
    one.source(numbers()).named("ours").to(&inputs.port(In));
    for (workflow, name) in [(one, "ours"), (two, "theirs")] {
        let error = workflow.build().expect_err("neither is valid");
        assert!(matches!(&error, Error::Vertex { vertex, .. } if vertex == name), "{error}");
    }
    let (one, two) = (WorkflowBuilder::new(), WorkflowBuilder::new());
    one.source(numbers()).union(two.source(numbers())).discard();
    assert!(one.build().is_err() && two.build().is_err());
    let (one, two) = (WorkflowBuilder::new(), WorkflowBuilder::new());
    one.output("out", two.source(numbers()));
    assert!(one.build().is_err() && two.build().is_err());
}

#[test]
fn ports_of_both_directions_may_have_one_name() {
    let inner = WorkflowBuilder::new();
    let passed = inner.input::<u64>("numbers");
    inner.output("numbers", passed);
    let inner = inner.build().expect("valid");
    assert_eq!(inner.closed(), Err(Error::OpenPort("numbers".to_owned())));

    let workflow = WorkflowBuilder::new();
    let nested = workflow.nest("pass", inner);
    nested.input("numbers", workflow.source(numbers()));
    let (all, again) = (Collected::new(), Collected::new());
    nested.output::<u64>("numbers").collect(&all);
    nested.output::<u64>("numbers").collect(&again);
    let runtime = skitter::Runtime::local().expect("a runtime");
    runtime.deploy("pass", workflow.build().expect("valid")).expect("deployable").wait().expect("it completes");
    assert_eq!(all.take(), (0..10).collect::<Vec<_>>());
    assert_eq!(again.take(), (0..10).collect::<Vec<_>>());
}

#[test]
fn two_open_ports_of_a_direction_have_two_names() {
    let error = fault(|workflow| {
        workflow.input::<u64>("a").discard();
        workflow.input::<u64>("a").discard();
    });
    assert_eq!(error, Error::DuplicateName("a".to_owned()));
}

fn doubling() -> Workflow {
    let inner = WorkflowBuilder::new();
    let doubled = inner.input::<u64>("numbers").map(|n| n * 2);
    inner.output("doubled", doubled);
    inner.build().expect("valid")
}

#[test]
fn nested_workflows_have_names_of_their_own() {
    let error = fault(|workflow| {
        for _ in 0..2 {
            let nested = workflow.nest("twice", doubling());
            nested.input("numbers", workflow.source(numbers()));
        }
    });
    assert_eq!(error, Error::DuplicateName("twice".to_owned()));
    assert_eq!(fault(|workflow| drop(workflow.nest("", doubling()))), Error::EmptyName);
}

#[test]
fn a_nested_in_port_has_to_be_linked_and_an_out_port_need_not() {
    let error = fault(|workflow| nothing(&workflow.nest("twice", doubling()).output::<u64>("doubled")));
    assert_eq!(error, Error::UnlinkedInPort { vertex: "twice/numbers".to_owned(), port: "in".to_owned() });

    let workflow = WorkflowBuilder::new();
    workflow.nest("twice", doubling()).input("numbers", workflow.source(numbers()));
    let workflow = workflow.build().expect("valid");
    assert_eq!(workflow.closed(), Ok(()));
    let kinds: Vec<_> = workflow.vertices().iter().map(|vertex| vertex.kind).collect();
    use VertexKind::{InPort, Operation, OutPort};
    assert_eq!(kinds, [InPort, Operation, OutPort, Operation]);
}

fn nothing<T>(_: &T) {}

#[test]
fn a_nested_port_is_found_by_name_and_type() {
    let error = fault(|workflow| {
        let nested = workflow.nest("twice", doubling());
        nested.input("numbers", workflow.source(StreamSource::new(|| ["text"])));
    });
    let message = "workflow `twice` has no in port `numbers` of type `&str`; there is `numbers: u64`";
    assert_eq!(error.to_string(), message);
    let error = fault(|workflow| {
        let nested = workflow.nest("twice", doubling());
        nested.input("numbers", workflow.source(numbers()));
        nested.output::<u64>("double").discard();
    });
    let message = "workflow `twice` has no out port `double` of type `u64`; there is `doubled: u64`";
    assert_eq!(error.to_string(), message);
}

#[test]
fn an_operation_is_prepared_once_on_a_node() {
    let relay = Relay::default();
    let prepared = Arc::clone(&relay.prepared);
    let workflow = WorkflowBuilder::new();
    let (inputs, stream) = workflow.vertex(relay, RoundRobin).open();
    workflow.source(numbers()).to(&inputs.port(In));
    workflow.source(numbers()).to(&inputs.port(In));
    let all = Collected::new();
    stream.collect(&all);
    let runtime = skitter::Runtime::local().expect("a runtime");
    runtime.deploy("relay", workflow.build().expect("valid")).expect("deployable").wait().expect("it completes");
    assert_eq!(all.take().len(), 20);
    assert_eq!(prepared.load(Ordering::Relaxed), 1);
}
