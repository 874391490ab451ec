//! `skitter workflows`: what can be deployed.

use serde_json::json;

use crate::cli::app::App;
use crate::cli::failure::Failure;
use crate::cli::output;

/// List the workflows of this program
#[derive(Debug, clap::Args)]
pub struct Workflows {
    /// As JSON: a list of objects with name, description and whether it is the default [default: false]
    #[arg(long, env = "SKITTER_JSON", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub json: bool,
}

/// Does it.
///
/// # Errors
/// When stdout takes no more.
pub fn run(app: &App, workflows: &Workflows) -> Result<(), Failure> {
    let default = app.default_workflow().map(|entry| entry.name);
    let is_default = |name| Some(name) == default;
    if workflows.json {
        let list = app.workflows.iter().map(
            |entry| json!({ "name": entry.name, "description": entry.description, "default": is_default(entry.name) }),
        );
        let list = serde_json::Value::from_iter(list);
        return output::print(format!("{list:#}\n").as_bytes());
    }
    let width = app.workflows.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
    let line = |entry: &crate::cli::WorkflowEntry| {
        let mark = if is_default(entry.name) { " (default)" } else { "" };
        format!("{:width$}  {}{mark}\n", entry.name, entry.description)
    };
    output::print(app.workflows.iter().map(line).collect::<String>().as_bytes())
}
