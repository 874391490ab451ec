//! Typed streams: what operators are called on.

use std::marker::PhantomData;

use super::chain::{Both, Chain, Choice, Discard, Downstream, Linked, Upstream};
use super::fork::{Branches as Forked, Fork, Shared, Split};
use super::graph::Graph;
use super::{In, InPort, Input, Operation, Out, OutPort, Strategy};
use crate::id::VertexId;

/// The records that leave an out port, before anything is put behind it.
///
/// A stream is used once: an operator takes it and gives the stream behind the new vertex. To put several vertices
/// behind it, make it [`shared`](Stream::shared). Functions that take and give streams name only what is in them:
///
/// ```
/// use skitter::prelude::*;
/// use skitter::workflow::Chain;
///
/// fn squares<C: Chain<Out = u64>>(numbers: Stream<C>) -> Stream<impl Chain<Out = u64>> {
///     numbers.map(|n| n * n)
/// }
/// let squared = skitter::testing::run(vec![1u64, 2, 3], |numbers| squares(numbers.shared()));
/// assert_eq!(squared.unwrap(), [1, 4, 9]);
/// ```
#[must_use = "nothing stands behind this stream; end it with an operation, or with `.discard()`"]
pub struct Stream<C, P = Out> {
    pub(super) chain: C,
    pub(super) graph: Graph,
    pub(super) port: PhantomData<fn(P)>,
}

/// A vertex behind a link (or behind nothing), its strategy still to be chosen.
#[derive(Debug)]
pub struct Placed<U, O, S> {
    pub(super) upstream: U,
    pub(super) operation: O,
    pub(super) strategy: S,
    pub(super) vertex: VertexId,
}

impl<O: Operation, U: Upstream<O::In>, S: Strategy<O>> Chain for Placed<U, O, S> {
    type Out = O::Out;

    fn close<D: Downstream<O::Out>>(self, down: D, graph: &Graph) {
        graph.closed(self.vertex);
        self.strategy.close(self.vertex, self.operation, self.upstream, down, graph);
    }

    fn vertex(&self) -> VertexId {
        self.vertex
    }
}

/// A vertex that has been put behind out port `OP` of `C`, linked by its in port `IP`.
pub type Behind<C, OP, O, S, IP = In> = Placed<Linked<C, OP, IP>, O, S>;

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    pub(super) fn new(chain: C, graph: Graph) -> Self {
        Stream { chain, graph, port: PhantomData }
    }

    /// The vertex and the number of the out port that the stream leaves.
    pub(super) fn end(&self) -> (VertexId, usize) {
        (self.chain.vertex(), self.chain.port().unwrap_or(P::INDEX))
    }

    /// Puts an operation with one in port behind the stream. All operators are written with this.
    ///
    /// The operation has to take what the stream gives, and the strategy has to find the callbacks that it calls:
    ///
    /// ```
    /// use skitter::operations::Map;
    /// use skitter::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new();
    /// let numbers = workflow.source(StreamSource::new(|| 0..10u64));
    /// numbers.vertex(Map::new(|n: u64| n + 1), RoundRobin).discard();
    /// assert!(workflow.build().is_ok());
    /// ```
    ///
    /// Numbers are no text:
    ///
    /// ```compile_fail,E0271
    /// # use skitter::operations::Map;
    /// # use skitter::prelude::*;
    /// # let workflow = WorkflowBuilder::new();
    /// # let numbers = workflow.source(StreamSource::new(|| 0..10u64));
    /// numbers.vertex(Map::new(|n: String| n + "1"), RoundRobin).discard();
    /// ```
    ///
    /// A map has no key by which [`KeyedState`](crate::strategies::KeyedState) could choose the worker:
    ///
    /// ```compile_fail,E0277
    /// # use skitter::operations::Map;
    /// # use skitter::prelude::*;
    /// # let workflow = WorkflowBuilder::new();
    /// # let numbers = workflow.source(StreamSource::new(|| 0..10u64));
    /// numbers.vertex(Map::new(|n: u64| n + 1), KeyedState).discard();
    /// ```
    pub fn vertex<O, S>(self, operation: O, strategy: S) -> Stream<Behind<C, P, O, S>>
    where
        O: Operation<In = P::Record>,
        S: Strategy<O>,
    {
        self.vertex_at::<In, Out, O, S>(operation, strategy)
    }

    /// As [`vertex`](Stream::vertex), by in port `IP` of the operation and giving its out port `OP`.
    pub fn vertex_at<IP, OP, O, S>(self, operation: O, strategy: S) -> Stream<Behind<C, P, O, S, IP>, OP>
    where
        O: Operation,
        S: Strategy<O>,
        IP: InPort<O::In, Record = P::Record>,
        OP: OutPort<O::Out>,
    {
        let vertex = self.graph.add_vertex::<O, S>(&operation);
        self.graph.add_link(self.end(), (vertex, IP::INDEX));
        let upstream = Linked { chain: self.chain, ports: PhantomData };
        Stream::new(Placed { upstream, operation, strategy, vertex }, self.graph)
    }

    /// Puts an operation behind this stream, linked to its in port `IP`, and another stream, linked to `IP2`; gives the
    /// stream of its out port `OP`.
    #[expect(clippy::type_complexity, reason = "the type of a vertex names what is before it")]
    pub fn vertex_of_two<IP, IP2, OP, C2, P2, O, S>(
        self,
        other: Stream<C2, P2>,
        operation: O,
        strategy: S,
    ) -> Stream<Placed<Both<Linked<C, P, IP>, Linked<C2, P2, IP2>>, O, S>, OP>
    where
        C2: Chain,
        P2: OutPort<C2::Out>,
        O: Operation,
        S: Strategy<O>,
        IP: InPort<O::In, Record = P::Record>,
        IP2: InPort<O::In, Record = P2::Record>,
        OP: OutPort<O::Out>,
    {
        let vertex = self.graph.add_vertex::<O, S>(&operation);
        self.graph.add_link(self.end(), (vertex, IP::INDEX));
        if other.graph.holds(other.chain.vertex(), &self.graph, vertex) {
            self.graph.add_link(other.end(), (vertex, IP2::INDEX));
        }
        let first = Linked { chain: self.chain, ports: PhantomData };
        let second = Linked { chain: other.chain, ports: PhantomData };
        Stream::new(Placed { upstream: Both(first, second), operation, strategy, vertex }, self.graph)
    }

    /// Puts an operation with one in port behind this stream and another one.
    #[expect(clippy::type_complexity, reason = "the type of a vertex names what is before it")]
    pub fn vertex_of_both<C2, P2, O, S>(
        self,
        other: Stream<C2, P2>,
        operation: O,
        strategy: S,
    ) -> Stream<Placed<Both<Linked<C, P, In>, Linked<C2, P2, In>>, O, S>>
    where
        C2: Chain,
        P2: OutPort<C2::Out, Record = P::Record>,
        O: Operation<In = P::Record>,
        S: Strategy<O>,
    {
        self.vertex_of_two::<In, In, Out, C2, P2, O, S>(other, operation, strategy)
    }

    /// Ends the stream in a sink.
    pub fn sink<O, S>(self, operation: O, strategy: S) -> Sink<Behind<C, P, O, S>>
    where
        O: Operation<In = P::Record>,
        S: Strategy<O>,
    {
        let Stream { chain, graph, .. } = self.vertex_at::<In, Out, O, S>(operation, strategy);
        Sink { chain: Some(chain), graph }
    }

    /// Links the stream to an in port of a vertex that was made before. The port has to accept what the stream gives:
    ///
    /// ```
    /// # use skitter::operations::Union;
    /// # use skitter::prelude::*;
    /// # use skitter::workflow::In;
    /// # let workflow = WorkflowBuilder::new();
    /// let (inputs, both) = workflow.vertex(Union::<u64>::new(), RoundRobin).open();
    /// both.discard();
    /// workflow.source(StreamSource::new(|| 0..10u64)).to(&inputs.port(In));
    /// # assert!(workflow.build().is_ok());
    /// ```
    ///
    /// ```compile_fail,E0271
    /// # use skitter::operations::Union;
    /// # use skitter::prelude::*;
    /// # use skitter::workflow::In;
    /// # let workflow = WorkflowBuilder::new();
    /// let (inputs, both) = workflow.vertex(Union::<u64>::new(), RoundRobin).open();
    /// both.discard();
    /// workflow.source(StreamSource::new(|| ["text"])).to(&inputs.port(In));
    /// ```
    pub fn to<O, S, IP>(self, input: &Input<O, S, IP>)
    where
        O: Operation,
        S: Strategy<O>,
        IP: InPort<O::In, Record = P::Record>,
    {
        if !self.graph.holds(self.chain.vertex(), &input.graph, input.vertex) {
            return;
        }
        self.graph.add_link(self.end(), (input.vertex, IP::INDEX));
        let linked = Linked::<C, P, IP> { chain: self.chain, ports: PhantomData };
        linked.close(input.deliver(), &self.graph);
    }

    /// Drops the records of this stream.
    pub fn discard(self) {
        self.chain.close(Discard, &self.graph);
    }

    /// A stream that can be cloned, so that several vertices can stand behind it; each gets every record. Records pass
    /// it in batches, and are cloned for all vertices but one.
    pub fn shared(self) -> Stream<Shared<P::Record>>
    where
        P::Record: Clone + Send,
    {
        let (vertex, port) = self.end();
        let graph = self.graph;
        let branches = Forked::new();
        let shared = Shared { vertex, port, branches: branches.clone(), shift: 0 };
        let linked = Linked::<C, P, In> { chain: self.chain, ports: PhantomData };
        linked.close(Fork::new(None, 0, branches), &graph);
        graph.draft(vertex, |draft| draft.unread.insert(port));
        Stream::new(shared, graph)
    }
}

impl<C: Chain, P> Stream<C, P> {
    /// Several out ports of the last vertex: a stream for each.
    ///
    /// ```
    /// use skitter::operations::{Accept, Filter, Reject};
    /// use skitter::prelude::*;
    ///
    /// let odd = skitter::testing::run(vec![1u64, 2, 3], |numbers| {
    ///     let ports = numbers.filter(|n| n % 2 == 0).ports();
    ///     ports.stream(Accept).discard();
    ///     ports.stream(Reject)
    /// });
    /// assert_eq!(odd.unwrap(), [1, 3]);
    /// ```
    pub fn ports(self) -> Branches<C::Out>
    where
        C::Out: Send,
    {
        let (vertex, port) = (self.chain.vertex(), self.chain.port());
        let split = Split::new();
        self.chain.close(split.clone(), &self.graph);
        Branches { vertex, port, split, graph: self.graph }
    }
}

/// The out ports of an operation that has several.
pub struct Branches<O> {
    vertex: VertexId,
    /// The port, if there is only one to be had because the stream was one of a port.
    port: Option<usize>,
    split: Split<O>,
    graph: Graph,
}

impl<O: Send + 'static> Branches<O> {
    /// The stream of a port. A port that is not asked for drops its records. The stream of each can be used once, or
    /// `build()` fails; to put several vertices behind it, make it [`shared`](Stream::shared).
    pub fn stream<P: OutPort<O>>(&self, port: P) -> Stream<PortOf<O, P>>
    where
        P::Record: Send,
    {
        let _ = port;
        let index = self.port.unwrap_or(P::INDEX);
        let port = PortOf { vertex: self.vertex, index, split: self.split.clone(), port: PhantomData };
        Stream::new(port, self.graph.clone())
    }
}

/// One out port of an operation that has several.
pub struct PortOf<O, P> {
    vertex: VertexId,
    index: usize,
    split: Split<O>,
    port: PhantomData<fn(P)>,
}

impl<O: Send + 'static, P: OutPort<O>> Chain for PortOf<O, P> {
    type Out = P::Record;

    fn close<D: Downstream<P::Record>>(self, down: D, graph: &Graph) {
        if graph.draft(self.vertex, |draft| draft.taken.insert(self.index)) == Some(false) {
            graph.refuse(self.vertex, "an out port was asked for twice; ask once, and share its stream");
        }
        self.split.add::<P, D>(down);
    }

    fn vertex(&self) -> VertexId {
        self.vertex
    }

    fn port(&self) -> Option<usize> {
        Some(self.index)
    }
}

impl<T: Clone + Send + 'static> Clone for Stream<Shared<T>> {
    fn clone(&self) -> Self {
        Stream { chain: self.chain.clone(), graph: self.graph.clone(), port: PhantomData }
    }
}

/// The methods that streams and sinks share.
macro_rules! vertex_settings {
    () => {
        /// Gives the vertex a name, unique in the workflow; otherwise it has that of its operation, with a number
        /// behind it from the second on.
        pub fn named(self, name: &str) -> Self {
            if let Some(vertex) = self.settings_of() {
                self.graph.rename(vertex, name);
            }
            self
        }

        /// Asks for this number of workers in all; a strategy with a fixed number of its own does not heed it.
        pub fn parallelism(self, workers: usize) -> Self {
            if let Some(vertex) = self.settings_of() {
                self.graph.edit(vertex, |info| info.parallelism = Some(workers.max(1)));
            }
            self
        }
    };
}

impl<U, O, S, P> Stream<Placed<U, O, S>, P>
where
    O: Operation,
    U: Upstream<O::In>,
    S: Strategy<O>,
    P: OutPort<O::Out>,
{
    fn settings_of(&self) -> Option<VertexId> {
        Some(self.chain.vertex)
    }

    vertex_settings!();

    /// Distributes the operation by another strategy.
    pub fn with<S2: Strategy<O>>(self, strategy: S2) -> Stream<Placed<U, O, S2>, P>
    where
        U: Choice,
    {
        let Placed { upstream, operation, vertex, .. } = self.chain;
        self.graph.set_strategy::<O, S2>(vertex);
        Stream::new(Placed { upstream, operation, strategy, vertex }, self.graph)
    }
}

/// A vertex at the end of a workflow. It needs nothing behind it; its strategy and name can still be set.
pub struct Sink<C: Chain> {
    chain: Option<C>,
    graph: Graph,
}

impl<C: Chain> Drop for Sink<C> {
    fn drop(&mut self) {
        if let Some(chain) = self.chain.take() {
            chain.close(Discard, &self.graph);
        }
    }
}

impl<U, O, S> Sink<Placed<U, O, S>>
where
    O: Operation,
    U: Upstream<O::In>,
    S: Strategy<O>,
{
    fn settings_of(&self) -> Option<VertexId> {
        self.chain.as_ref().map(|chain| chain.vertex)
    }

    vertex_settings!();

    /// Distributes the operation by another strategy.
    pub fn with<S2: Strategy<O>>(mut self, strategy: S2) -> Sink<Placed<U, O, S2>> {
        let graph = self.graph.clone();
        let chain = self.chain.take().map(|Placed { upstream, operation, vertex, .. }| {
            graph.set_strategy::<O, S2>(vertex);
            Placed { upstream, operation, strategy, vertex }
        });
        Sink { chain, graph }
    }
}
