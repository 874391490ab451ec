//! What the compiler cannot see: names, unlinked ports, strategies that do not fit, cycles.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Draft;
use super::{Error, LinkInfo, Origin, Result, VertexInfo, VertexKind};

/// Makes names unique among the vertices of a kind: those that users gave must be, the others get a number.
///
/// Open ports have names of their own, because a workflow may well have an in port, an out port and an operation that
/// are called `words`.
pub(super) fn name(vertices: &mut [VertexInfo], drafts: &[Draft]) -> Result<()> {
    let mut taken = BTreeSet::new();
    let given = |vertex: &VertexInfo, draft: &Draft| draft.named || vertex.kind != VertexKind::Operation;
    for (vertex, draft) in vertices.iter().zip(drafts) {
        if vertex.name.is_empty() {
            return Err(Error::EmptyName);
        }
        if given(vertex, draft) && !taken.insert((vertex.kind, vertex.name.clone())) {
            return Err(Error::DuplicateName(vertex.name.clone()));
        }
    }
    let mut numbers = BTreeMap::new();
    for (vertex, draft) in vertices.iter_mut().zip(drafts) {
        if given(vertex, draft) || taken.insert((vertex.kind, vertex.name.clone())) {
            continue;
        }
        let number = numbers.entry(vertex.name.clone()).or_insert(1u32);
        loop {
            *number += 1;
            let name = format!("{}_{number}", vertex.name);
            if taken.insert((vertex.kind, name.clone())) {
                vertex.name = name;
                break;
            }
        }
    }
    Ok(())
}

/// Checks that each vertex gets its records from where its strategy takes them, and forgets the in ports of those that
/// make their records themselves.
pub(super) fn origins(vertices: &mut [VertexInfo], links: &[LinkInfo], drafts: &[Draft]) -> Result<()> {
    let linked: BTreeSet<_> = links.iter().map(|link| link.to.0).collect();
    for (vertex, draft) in vertices.iter_mut().zip(drafts) {
        let strategy = &vertex.strategy;
        let reason = match draft.origin {
            Origin::Links if draft.source => format!("strategy `{strategy}` cannot distribute a source"),
            Origin::Links => continue,
            Origin::Produce | Origin::Listen if linked.contains(&vertex.id) => {
                format!("strategy `{strategy}` makes the records itself, so nothing can be linked to it")
            }
            Origin::Produce | Origin::Listen => {
                vertex.in_ports.clear();
                continue;
            }
        };
        return Err(Error::Vertex { vertex: vertex.name.clone(), reason });
    }
    Ok(())
}

/// Checks that something stands before each in port and behind each vertex, and that links lead to ports that are
/// there.
pub(super) fn links(vertices: &[VertexInfo], links: &[LinkInfo], drafts: &[Draft]) -> Result<()> {
    if vertices.is_empty() {
        return Err(Error::Empty);
    }
    for LinkInfo { from, to } in links {
        has_port(vertices, *from, "out", |vertex| &vertex.out_ports)?;
        has_port(vertices, *to, "in", |vertex| &vertex.in_ports)?;
    }
    let linked: BTreeSet<_> = links.iter().map(|link| link.to).collect();
    let leading: BTreeSet<_> = links.iter().map(|link| link.from.0).collect();
    for (vertex, draft) in vertices.iter().zip(drafts) {
        let name = || vertex.name.clone();
        for (port, port_name) in vertex.in_ports.iter().enumerate() {
            if !linked.contains(&(vertex.id, port)) {
                return Err(Error::UnlinkedInPort { vertex: name(), port: port_name.clone() });
            }
        }
        if vertex.kind == VertexKind::Operation && vertex.in_ports.is_empty() && draft.origin == Origin::Links {
            let reason = format!("it has no in port, and strategy `{}` waits for links", vertex.strategy);
            return Err(Error::Vertex { vertex: name(), reason });
        }
        // What is before an open end is open, too, and not to blame.
        let open_end = !draft.closed && !leading.contains(&vertex.id);
        let unlinked = if open_end { Some(&0) } else { draft.unread.first() };
        match unlinked.map(|port| vertex.out_ports.get(*port)) {
            None => {}
            Some(Some(port)) => return Err(Error::UnlinkedOutPort { vertex: name(), port: port.clone() }),
            Some(None) => {
                let reason = "it has no out port and is not ended: use `.sink(…)` or `.discard()`, and do not hold on \
                              to the sink until `build()`";
                return Err(Error::Vertex { vertex: name(), reason: reason.to_owned() });
            }
        }
    }
    Ok(())
}

fn has_port(
    vertices: &[VertexInfo],
    (vertex, port): (crate::id::VertexId, usize),
    direction: &str,
    ports: impl Fn(&VertexInfo) -> &Vec<String>,
) -> Result<()> {
    let vertex = vertices.get(vertex.0 as usize);
    if vertex.is_some_and(|vertex| port < ports(vertex).len()) {
        return Ok(());
    }
    let name = vertex.map_or_else(String::new, |vertex| vertex.name.clone());
    let there = vertex.map_or(0, |vertex| ports(vertex).len());
    let reason = format!("a link has {direction} port {port} of it, counted from 0, but its operation names {there}");
    Err(Error::Vertex { vertex: name, reason })
}

/// Checks that no record can come back to a vertex. Linear in vertices and links, which must be valid.
pub(super) fn acyclic(vertices: &[VertexInfo], links: &[LinkInfo]) -> Result<()> {
    let mut behind = vec![Vec::new(); vertices.len()];
    let mut before = vec![0usize; vertices.len()];
    for link in links {
        behind[link.from.0.0 as usize].push(link.to.0.0 as usize);
        before[link.to.0.0 as usize] += 1;
    }
    let mut free: Vec<usize> = (0..vertices.len()).filter(|v| before[*v] == 0).collect();
    while let Some(vertex) = free.pop() {
        for next in &behind[vertex] {
            before[*next] -= 1;
            if before[*next] == 0 {
                free.push(*next);
            }
        }
    }
    // Every vertex that is left has one before it that is left, too, so that walking backwards runs into a cycle.
    let Some(mut at) = before.iter().position(|n| *n > 0) else { return Ok(()) };
    let mut back = vec![None; vertices.len()];
    for link in links.iter().rev() {
        let (from, to) = (link.from.0.0 as usize, link.to.0.0 as usize);
        if before[from] > 0 {
            back[to] = Some(from);
        }
    }
    let mut step = vec![None; vertices.len()];
    let mut path = Vec::new();
    let start = loop {
        if let Some(start) = step[at] {
            break start;
        }
        step[at] = Some(path.len());
        path.push(at);
        match back[at] {
            Some(from) => at = from,
            None => return Ok(()),
        }
    };
    let mut cycle: Vec<usize> = path.split_off(start);
    cycle.reverse();
    // Told from the vertex on that was built first.
    let first = (0..cycle.len()).min_by_key(|step| cycle[*step]).unwrap_or(0);
    cycle.rotate_left(first);
    cycle.extend(cycle.first().copied());
    Err(Error::Cycle(cycle.into_iter().map(|vertex| vertices[vertex].name.clone()).collect()))
}
