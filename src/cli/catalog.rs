//! The workflows of an application, for nodes that are told a name and arguments.

use std::ffi::OsString;

use super::app::App;
use super::failure::Failure;
use crate::node::Catalog;
use crate::workflow::{Error, Result, Workflow};

impl Catalog for App {
    fn build(&self, name: &str, arguments: &[String]) -> Result<Workflow> {
        let entry = self.find(name).ok_or_else(|| Error::Deploy(self.no_such_workflow(name)))?;
        let command = format!("{} … -d {name} --", self.name);
        entry.build(&command, arguments.iter().map(OsString::from).collect()).map_err(|failure| match failure {
            Failure::Workflow { source, .. } => *source,
            failure => Error::Deploy(format!("the arguments of workflow `{name}`: {failure}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::workflow;
    use crate::operations::StreamSource;
    use crate::workflow::WorkflowBuilder;

    #[derive(clap::Args)]
    struct Numbers {
        #[arg(long)]
        most: u64,
    }

    fn numbers(args: &Numbers) -> Result<Workflow> {
        let workflow = WorkflowBuilder::new();
        let most = args.most;
        if most == 0 {
            return Err(Error::Deploy("nothing to count".to_owned()));
        }
        workflow.source(StreamSource::new(move || 0..most)).named("numbers").discard();
        workflow.build()
    }

    fn build(name: &str, arguments: &[&str]) -> Result<String, String> {
        let app = App::new("test", "1.2.3").workflows(&[workflow("numbers", "Counts", numbers)]);
        let arguments: Vec<_> = arguments.iter().map(|&text| text.to_owned()).collect();
        let built = Catalog::build(&app, name, &arguments);
        built.map(|workflow| workflow.to_json()).map_err(|error| error.to_string())
    }

    #[test]
    fn workflows_are_built_by_name_and_arguments() {
        assert!(build("numbers", &["--most", "5"]).expect("a workflow").contains("numbers"));
        assert_eq!(build("numbers", &["--most", "0"]), Err("nothing to count".to_owned()));
        let said = build("nubmers", &[]).expect_err("no workflow");
        assert!(said.starts_with("there is no workflow `nubmers`; did you mean `numbers`?"), "{said}");
        let said = build("numbers", &["--mots", "5"]).expect_err("no argument");
        assert!(said.contains("the arguments of workflow `numbers`: ") && said.contains("'--mots'"), "{said}");
    }
}
