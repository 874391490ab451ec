//! Settings: defaults, then `skitter.toml`, then the environment, then options; the later one counts.
//!
//! A setting has one name in three forms: option `--log-level`, key `log-level` in the file, variable
//! `SKITTER_LOG_LEVEL`.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Deserialize;
use toml::Spanned;

use crate::telemetry::{Format, Level};

/// The file that is read when none is named, if it is there.
const FILE: &str = "skitter.toml";

/// Names the file.
const FILE_VARIABLE: &str = "SKITTER_CONFIG";

/// Most cores and threads that can be asked for: each is a thread or some actors for each vertex, and a number beyond
/// is a slip.
const MOST: i64 = 1024;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration `{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{at}: {reason}")]
    File {
        /// The file, line and column.
        at: String,
        /// What is wrong.
        reason: String,
    },
    /// A variable has a value that means nothing.
    #[error("environment variable {variable}=`{value}`: {reason}")]
    Variable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        reason: String,
    },
}

/// A number of cores or threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Count(pub usize);

impl TryFrom<i64> for Count {
    type Error = String;

    fn try_from(number: i64) -> Result<Count, String> {
        match usize::try_from(number) {
            Ok(count) if (1..=MOST).contains(&number) => Ok(Count(count)),
            _ => Err(format!("{number} is not a number from 1 to {MOST}")),
        }
    }
}

impl std::str::FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Count, String> {
        match text.parse::<i64>() {
            Ok(number) => Count::try_from(number),
            Err(_) => Err(format!("`{text}` is not a number from 1 to {MOST}")),
        }
    }
}

/// Which workflow to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one, named at this place.
    Workflow {
        /// Its name.
        name: String,
        /// The option, variable, or line of the file.
        at: String,
    },
    /// None.
    Nothing,
}

/// What one layer says; or all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The workflow.
    pub deploy: Option<Choice>,
    /// Workers of a vertex on a node.
    pub cores: Option<Count>,
    /// Threads that run workers.
    pub threads: Option<Count>,
    /// What is logged.
    pub log_level: Option<Level>,
    /// And how.
    pub log_format: Option<Format>,
}

impl Settings {
    /// This layer, and where it says nothing, the one below it.
    fn over(self, lower: Settings) -> Settings {
        Settings {
            deploy: self.deploy.or(lower.deploy),
            cores: self.cores.or(lower.cores),
            threads: self.threads.or(lower.threads),
            log_level: self.log_level.or(lower.log_level),
            log_format: self.log_format.or(lower.log_format),
        }
    }

    /// All layers, `self` being the options. `file` is the configuration file that an option names.
    ///
    /// # Errors
    /// When the file or the environment is wrong.
    pub fn complete(self, file: Option<&Path>) -> Result<Settings, ConfigError> {
        let environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let named = file.map(Path::to_owned).or_else(|| environment(FILE_VARIABLE).map(PathBuf::from));
        let file = match named {
            Some(path) => Settings::read(&path)?,
            None => match Settings::read(Path::new(FILE)) {
                Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    Settings::default()
                }
                read => read?,
            },
        };
        Ok(self.over(Settings::variables(&environment)?).over(file))
    }

    fn read(path: &Path) -> Result<Settings, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Settings::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Settings, ConfigError> {
        let at = |byte: usize| {
            let before = &text.as_bytes()[..byte.min(text.len())];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
            format!("{}:{line}:{column}", path.display())
        };
        let file: File = toml::from_str(text).map_err(|error| ConfigError::File {
            at: error.span().map_or_else(|| path.display().to_string(), |span| at(span.start)),
            reason: error.message().to_owned(),
        })?;
        let workflow = file.deploy.map(|name| {
            let at = at(name.span().start);
            Choice::Workflow { name: name.into_inner(), at }
        });
        let deploy = match (workflow, file.no_deploy) {
            (Some(Choice::Workflow { at, .. }), Some(true)) => {
                return Err(ConfigError::File { at, reason: "`deploy` and `no-deploy` exclude each other".to_owned() });
            }
            (Some(workflow), _) => Some(workflow),
            (None, Some(true)) => Some(Choice::Nothing),
            (None, _) => None,
        };
        let File { cores, threads, log_level, log_format, .. } = file;
        Ok(Settings { deploy, cores, threads, log_level, log_format })
    }

    fn variables(environment: &dyn Fn(&str) -> Option<OsString>) -> Result<Settings, ConfigError> {
        let text = |name| Variable::read(environment, name);
        let named = text("SKITTER_DEPLOY")?;
        let nothing = text("SKITTER_NO_DEPLOY")?.map(|v| v.parse(truth)).transpose()?;
        let deploy = match (named, nothing) {
            (Some(named), Some(true)) => {
                return Err(named.wrong("it and SKITTER_NO_DEPLOY exclude each other".to_owned()));
            }
            (Some(Variable { name, value }), _) => Some(Choice::Workflow { name: value, at: name.to_owned() }),
            (None, Some(true)) => Some(Choice::Nothing),
            (None, _) => None,
        };
        Ok(Settings {
            deploy,
            cores: text("SKITTER_CORES")?.map(|v| v.parse(str::parse)).transpose()?,
            threads: text("SKITTER_THREADS")?.map(|v| v.parse(str::parse)).transpose()?,
            log_level: text("SKITTER_LOG_LEVEL")?.map(|v| v.parse(one_of)).transpose()?,
            log_format: text("SKITTER_LOG_FORMAT")?.map(|v| v.parse(one_of)).transpose()?,
        })
    }
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    deploy: Option<Spanned<String>>,
    no_deploy: Option<bool>,
    cores: Option<Count>,
    threads: Option<Count>,
    log_level: Option<Level>,
    log_format: Option<Format>,
}

/// A variable that is set.
struct Variable {
    name: &'static str,
    value: String,
}

impl Variable {
    fn read(
        environment: &dyn Fn(&str) -> Option<OsString>,
        name: &'static str,
    ) -> Result<Option<Variable>, ConfigError> {
        let Some(value) = environment(name) else { return Ok(None) };
        match value.into_string() {
            Ok(value) => Ok(Some(Variable { name, value })),
            Err(value) => {
                let value = value.to_string_lossy().into_owned();
                Err(Variable { name, value }.wrong("it is not UTF-8".to_owned()))
            }
        }
    }

    fn wrong(self, reason: String) -> ConfigError {
        ConfigError::Variable { variable: self.name, value: self.value, reason }
    }

    fn parse<T>(self, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        parse(&self.value).map_err(|reason| self.wrong(reason))
    }
}

fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("it may be `true` or `false`".to_owned()),
    }
}

fn one_of<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        format!("it may be {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(Path::new("skitter.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_is_read() {
        let text = "cores = 4\nlog-level = \"debug\"\nlog-format = 'json'\n\ndeploy = \"hello\"\n";
        let deploy = Choice::Workflow { name: "hello".to_owned(), at: "skitter.toml:5:10".to_owned() };
        let expected = Settings {
            deploy: Some(deploy),
            cores: Some(Count(4)),
            threads: None,
            log_level: Some(Level::Debug),
            log_format: Some(Format::Json),
        };
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse(""), Ok(Settings::default()));
        assert_eq!(parse("no-deploy = true").map(|settings| settings.deploy), Ok(Some(Choice::Nothing)));
        assert_eq!(parse("no-deploy = false").map(|settings| settings.deploy), Ok(None));
    }

    #[test]
    fn what_is_wrong_in_the_file_has_a_line() {
        for (text, error) in [
            ("\ncorse = 4", "skitter.toml:2:1: unknown field `corse`, expected one of"),
            ("cores = \"4\"", "skitter.toml:1:9: invalid type: string \"4\", expected i64"),
            ("# few\ncores = 0", "skitter.toml:2:9: 0 is not a number from 1 to 1024"),
            ("log-level = 'loud'", "skitter.toml:1:13: unknown variant `loud`, expected one of"),
            ("cores = ", "skitter.toml:1:9:"),
            ("no-deploy = true\ndeploy = 'x'", "skitter.toml:2:10: `deploy` and `no-deploy` exclude each other"),
        ] {
            let said = parse(text).expect_err("it is wrong");
            assert!(said.starts_with(error), "{text:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{said:?}");
        }
    }

    #[test]
    fn variables_are_read() {
        let environment = |name: &str| match name {
            "SKITTER_CORES" => Some(OsString::from("3")),
            "SKITTER_NO_DEPLOY" => Some(OsString::from("yes")),
            _ => None,
        };
        let settings = Settings::variables(&environment).expect("right");
        assert_eq!((settings.cores, settings.deploy), (Some(Count(3)), Some(Choice::Nothing)));
        let loud = |name: &str| (name == "SKITTER_LOG_LEVEL").then(|| OsString::from("loud"));
        let said = Settings::variables(&loud).expect_err("it is wrong").to_string();
        assert_eq!(said, "environment variable SKITTER_LOG_LEVEL=`loud`: it may be error, warn, info, debug, trace");
    }

    #[test]
    fn a_layer_hides_the_ones_below() {
        let high = Settings { cores: Some(Count(1)), deploy: Some(Choice::Nothing), ..Settings::default() };
        let deploy = Some(Choice::Workflow { name: "x".to_owned(), at: String::new() });
        let low = Settings { cores: Some(Count(2)), threads: Some(Count(2)), deploy, ..Settings::default() };
        let both = high.over(low);
        assert_eq!((both.cores, both.threads), (Some(Count(1)), Some(Count(2))));
        assert_eq!(both.deploy, Some(Choice::Nothing));
    }
}
