//! A workflow in Graphviz's language, DOT (<https://graphviz.org/doc/info/lang.html>).

use std::fmt::{self, Display, Formatter, Write};

use super::super::{LinkInfo, VertexInfo, VertexKind, Workflow};
use super::short_name;

/// What all drawings begin with: from left to right, as records travel.
const HEAD: &str = r##"digraph workflow {
  graph [rankdir=LR, style=rounded, color="#8888a0", fontname="Helvetica", fontsize=11];
  node [shape=box, style=rounded, fontname="Helvetica", fontsize=11];
  edge [arrowsize=0.7];
"##;

impl Workflow {
    /// The workflow as a graph in Graphviz's language, for example to be rendered by `dot -Tsvg`.
    ///
    /// A box is a vertex with its name, its operation and its strategy, and its ports if it has several in a direction.
    /// An ellipse is a port of a workflow, dashed if that is not nested in another one; a frame is a nested workflow.
    /// Along a dashed link a record stays in its worker, along a solid one a strategy sends it.
    ///
    /// Equal workflows give equal texts. Linear in vertices and links.
    ///
    /// ```
    /// use skitter::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new();
    /// workflow.source(StreamSource::new(|| 0..10u64)).map(|n| n * 2).named("double").discard();
    /// let dot = workflow.build()?.to_dot();
    /// assert!(dot.contains(r#"v1 [label="double\nmap\nchained""#));
    /// assert!(dot.contains("v0 -> v1"));
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn to_dot(&self) -> String {
        let mut dot = HEAD.to_owned();
        let written = write_vertices(self, &mut dot).and_then(|()| write_links(self, &mut dot));
        debug_assert!(written.is_ok(), "writing to a string does not fail");
        dot.push_str("}\n");
        dot
    }
}

/// Writes the vertices in the order of their numbers. Those of a nested workflow follow each other, so its frame is
/// opened before the first of them and closed behind the last.
fn write_vertices(workflow: &Workflow, dot: &mut String) -> fmt::Result {
    let mut open: &[String] = &[];
    let mut frames = 0;
    for vertex in &workflow.vertices {
        let kept = open.iter().zip(&vertex.nest).take_while(|(open, wanted)| open == wanted).count();
        close_frames(kept..open.len(), dot)?;
        open = &vertex.nest;
        for (depth, name) in open.iter().enumerate().skip(kept) {
            writeln!(dot, "{}subgraph cluster_{frames} {{", Indent(depth))?;
            writeln!(dot, "{}label=\"{}\";", Indent(depth + 1), text(name))?;
            frames += 1;
        }
        write!(dot, "{}", Indent(open.len()))?;
        write_vertex(vertex, dot)?;
    }
    close_frames(0..open.len(), dot)
}

fn close_frames(depths: std::ops::Range<usize>, dot: &mut String) -> fmt::Result {
    depths.rev().try_for_each(|depth| writeln!(dot, "{}}}", Indent(depth)))
}

fn write_vertex(vertex: &VertexInfo, dot: &mut String) -> fmt::Result {
    let VertexInfo { id, kind, operation, strategy, in_ports, out_ports, .. } = vertex;
    let name = short_name(vertex);
    let [takes, gives] = &vertex.types;
    write!(dot, "v{} [", id.0)?;
    if *kind != VertexKind::Operation {
        let style = if vertex.nest.is_empty() { "dashed" } else { "solid" };
        let (name, record) = (text(name), text(takes));
        return writeln!(dot, "shape=ellipse, style={style}, label=\"{name}\", tooltip=\"{record}\"];");
    }
    if several_ports(vertex) {
        dot.push_str("shape=Mrecord, label=\"{");
        if !in_ports.is_empty() {
            write!(dot, "{{{}}}|", Fields('i', in_ports))?;
        }
        write!(dot, "{}\\n{}\\n{}{}", field(name), field(operation), field(strategy), Times(vertex.parallelism))?;
        if !out_ports.is_empty() {
            write!(dot, "|{{{}}}", Fields('o', out_ports))?;
        }
        dot.push_str("}\"");
    } else {
        write!(
            dot,
            "label=\"{}\\n{}\\n{}{}\"",
            text(name),
            text(operation),
            text(strategy),
            Times(vertex.parallelism)
        )?;
    }
    match (in_ports.is_empty(), out_ports.is_empty()) {
        (true, _) => writeln!(dot, ", tooltip=\"{}\"];", text(gives)),
        (false, true) => writeln!(dot, ", tooltip=\"{}\"];", text(takes)),
        (false, false) => writeln!(dot, ", tooltip=\"{} → {}\"];", text(takes), text(gives)),
    }
}

fn write_links(workflow: &Workflow, dot: &mut String) -> fmt::Result {
    for LinkInfo { from, to } in &workflow.links {
        write!(dot, "  v{}", from.0.0)?;
        if workflow.vertices.get(from.0.0 as usize).is_some_and(several_ports) {
            write!(dot, ":o{}:e", from.1)?;
        }
        write!(dot, " -> v{}", to.0.0)?;
        if workflow.vertices.get(to.0.0 as usize).is_some_and(several_ports) {
            write!(dot, ":i{}:w", to.1)?;
        }
        dot.push_str(if workflow.stages.contains_key(&to.0) { ";\n" } else { " [style=dashed];\n" });
    }
    Ok(())
}

/// Whether links have to say which port they mean.
fn several_ports(vertex: &VertexInfo) -> bool {
    vertex.in_ports.len() > 1 || vertex.out_ports.len() > 1
}

/// What stands before a line at a depth of frames.
struct Indent(usize);

impl Display for Indent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:width$}", "", width = 2 * (self.0 + 1))
    }
}

/// The number of workers that the user asked for.
struct Times(Option<usize>);

impl Display for Times {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |workers| write!(f, " × {workers}"))
    }
}

/// The ports of one direction as fields of a record.
struct Fields<'a>(char, &'a [String]);

impl Display for Fields<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, name) in self.1.iter().enumerate() {
            let bar = if index == 0 { "" } else { "|" };
            write!(f, "{bar}<{}{index}> {}", self.0, field(name))?;
        }
        Ok(())
    }
}

/// A text inside the quotes of a label.
fn text(text: &str) -> Escaped<'_> {
    Escaped { text, in_record: false }
}

/// A text inside a field of a record's label, where some more characters have a meaning.
fn field(text: &str) -> Escaped<'_> {
    Escaped { text, in_record: true }
}

/// A text so written that it is shown as it is: Graphviz reads `\` as the begin of an escape and `&` as that of an HTML
/// entity in every label, and knows no way to write control characters.
struct Escaped<'a> {
    text: &'a str,
    in_record: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '&' => f.write_str("&amp;")?,
                '\n' => f.write_str("\\n")?,
                // The pictures that Unicode has of the first 32 control characters.
                '\0'..='\x1f' => f.write_char(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'))?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                '{' | '}' | '|' | '<' | '>' | ' ' if self.in_record => write!(f, "\\{c}")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
