//! `skitter graph`: a workflow, drawn.

use std::ffi::OsString;
use std::path::PathBuf;

use super::General;
use crate::cli::app::App;
use crate::cli::config::Settings;
use crate::cli::failure::Failure;
use crate::cli::graphviz::{self, Image};
use crate::cli::output;
use crate::workflow::Workflow;

/// Draw a workflow: its vertices with operation and strategy, their ports, and the links
#[derive(Debug, clap::Args)]
pub struct Graph {
    /// The workflow
    #[arg(index = 1)]
    workflow: String,

    /// The format; svg and png need Graphviz
    #[arg(long, value_enum, default_value = "dot", env = "SKITTER_GRAPH_FORMAT", hide_env_values = true)]
    format: Format,

    /// The file to write [default: stdout]
    #[arg(short, long, value_name = "FILE", env = "SKITTER_GRAPH_OUTPUT", hide_env_values = true)]
    output: Option<PathBuf>,

    /// Arguments of the workflow; `-- --help` describes them
    #[arg(index = 2, last = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// What a workflow can be drawn as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The language of Graphviz
    Dot,
    /// A picture that scales
    Svg,
    /// A picture
    Png,
    /// For programs
    Json,
}

/// Does it.
///
/// # Errors
/// When the workflow cannot be built, Graphviz is not there, or the file cannot be written.
pub fn run(app: &App, graph: Graph, general: &General) -> Result<(), Failure> {
    general.settings(Settings::default())?;
    // The parser knows the names.
    let entry = app.find(&graph.workflow).ok_or_else(|| Failure::Usage(app.no_such_workflow(&graph.workflow)))?;
    let command = format!("{} graph {} --", app.name, entry.name);
    let drawn = draw(&entry.build(&command, graph.arguments)?, graph.format)?;
    match graph.output {
        None => output::print(&drawn),
        Some(path) => std::fs::write(&path, drawn).map_err(|source| Failure::Output { path: Some(path), source }),
    }
}

fn draw(workflow: &Workflow, format: Format) -> Result<Vec<u8>, Failure> {
    Ok(match format {
        Format::Dot => workflow.to_dot().into_bytes(),
        Format::Json => workflow.to_json().into_bytes(),
        Format::Svg => graphviz::render(&workflow.to_dot(), Image::Svg)?,
        Format::Png => graphviz::render(&workflow.to_dot(), Image::Png)?,
    })
}
