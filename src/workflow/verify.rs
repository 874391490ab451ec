//! What the compiler cannot see: names, unlinked ports, cycles.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, LinkInfo, Result, VertexInfo, VertexKind};
use crate::id::VertexId;

/// Makes names unique: those that users gave must be, the others get a number.
pub(super) fn name(vertices: &mut [VertexInfo], named: &[bool]) -> Result<()> {
    let mut taken = BTreeSet::new();
    let given = |vertex: &VertexInfo, named: bool| named || vertex.kind != VertexKind::Operation;
    for (vertex, named) in vertices.iter().zip(named) {
        if given(vertex, *named) && !taken.insert(vertex.name.clone()) {
            return Err(Error::DuplicateName(vertex.name.clone()));
        }
    }
    let mut numbers = BTreeMap::new();
    for (vertex, named) in vertices.iter_mut().zip(named) {
        if !given(vertex, *named) && !taken.insert(vertex.name.clone()) {
            let number = numbers.entry(vertex.name.clone()).or_insert(1u32);
            loop {
                *number += 1;
                let name = format!("{}_{number}", vertex.name);
                if taken.insert(name.clone()) {
                    vertex.name = name;
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Checks that something stands before each in port and behind each vertex.
pub(super) fn links(vertices: &[VertexInfo], links: &[LinkInfo], closed: &[bool]) -> Result<()> {
    if vertices.is_empty() {
        return Err(Error::Empty);
    }
    let linked: BTreeSet<_> = links.iter().map(|link| link.to).collect();
    for (vertex, closed) in vertices.iter().zip(closed) {
        for (port, name) in vertex.in_ports.iter().enumerate() {
            if !linked.contains(&(vertex.id, port)) {
                return Err(Error::UnlinkedInPort { vertex: vertex.name.clone(), port: name.clone() });
            }
        }
        if !closed {
            let port = vertex.out_ports.first().cloned().unwrap_or_default();
            return Err(Error::UnlinkedOutPort { vertex: vertex.name.clone(), port });
        }
    }
    Ok(())
}

/// Checks that no record can come back to a vertex. Linear in vertices and links.
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
    // Every vertex that is left lies on a cycle or behind one; walking backwards from one must run into a cycle.
    let Some(mut at) = before.iter().position(|n| *n > 0) else { return Ok(()) };
    let mut path = Vec::new();
    while !path.contains(&at) {
        path.push(at);
        let back = links.iter().find(|link| link.to.0 == VertexId(at as u32) && before[link.from.0.0 as usize] > 0);
        match back {
            Some(link) => at = link.from.0.0 as usize,
            None => break,
        }
    }
    let start = path.iter().position(|v| *v == at).unwrap_or(0);
    let mut cycle: Vec<String> = path[start..].iter().rev().map(|v| vertices[*v].name.clone()).collect();
    cycle.extend(cycle.first().cloned());
    Err(Error::Cycle(cycle))
}
