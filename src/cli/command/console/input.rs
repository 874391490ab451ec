//! Where the lines of a console come from: a terminal, with editing, history and completion; or anything else.

use std::io;

#[cfg(feature = "console")]
use self::editor::Editor;
use crate::cli::daemon::Place;

/// Most bytes of a line that is read from a file or a pipe: what a request can hold.
const MOST_BYTES: u64 = 256 * 1024;

/// A source of lines.
pub enum Input {
    /// Somebody types them.
    #[cfg(feature = "console")]
    Terminal(Box<Editor>),
    /// They are read.
    Plain,
}

/// What was read.
pub enum Typed {
    /// A line.
    Line(String),
    /// Somebody has thought better of it.
    #[cfg(feature = "console")]
    Nothing,
    /// There is no more.
    End,
}

impl Input {
    /// A terminal, on which these commands and workflows can be completed. Without the feature `console`, or when the
    /// terminal is of no known kind, lines are taken as they are.
    #[cfg_attr(not(feature = "console"), expect(unused_variables, reason = "there is nothing to complete"))]
    pub fn terminal(place: &Place, commands: Vec<String>, workflows: Vec<String>) -> Input {
        #[cfg(feature = "console")]
        if let Some(editor) = Editor::open(place, commands, workflows) {
            return Input::Terminal(Box::new(editor));
        }
        Input::plain()
    }

    /// Whatever stdin is.
    pub fn plain() -> Input {
        Input::Plain
    }

    /// The next line.
    ///
    /// # Errors
    /// When stdin cannot be read.
    #[cfg_attr(not(feature = "console"), expect(unused_variables, reason = "there is no history"))]
    pub fn read(&mut self, place: &Place) -> io::Result<Typed> {
        match self {
            #[cfg(feature = "console")]
            Input::Terminal(editor) => editor.read(place),
            Input::Plain => plain(),
        }
    }
}

fn plain() -> io::Result<Typed> {
    use std::io::{BufRead, Read};
    let mut line = String::new();
    let read = io::stdin().lock().take(MOST_BYTES).read_line(&mut line)?;
    if read == 0 {
        return Ok(Typed::End);
    }
    if read as u64 == MOST_BYTES && !line.ends_with('\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line is longer than {MOST_BYTES} bytes")));
    }
    Ok(Typed::Line(line))
}

#[cfg(feature = "console")]
mod editor {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::OpenOptionsExt;

    use rustyline::completion::Completer;
    use rustyline::error::ReadlineError;
    use rustyline::highlight::Highlighter;
    use rustyline::hint::Hinter;
    use rustyline::history::FileHistory;
    use rustyline::validate::Validator;
    use rustyline::{CompletionType, Config, Context, Helper};

    use super::Typed;
    use crate::cli::daemon::Place;

    /// Lines that are kept.
    const HISTORY: usize = 1000;

    /// What stands before a line.
    const PROMPT: &str = "skitter> ";

    /// A terminal.
    pub struct Editor(rustyline::Editor<Words, FileHistory>);

    impl Editor {
        /// With what was typed before.
        pub fn open(place: &Place, commands: Vec<String>, workflows: Vec<String>) -> Option<Editor> {
            let config = Config::builder()
                .max_history_size(HISTORY)
                .and_then(|config| config.history_ignore_dups(true))
                .ok()?
                .auto_add_history(true)
                .completion_type(CompletionType::List)
                .build();
            let mut editor = rustyline::Editor::with_config(config).ok()?;
            editor.set_helper(Some(Words { commands, workflows }));
            // There is none at first.
            let _ = editor.load_history(&place.history());
            Some(Editor(editor))
        }

        /// The next line.
        pub fn read(&mut self, place: &Place) -> io::Result<Typed> {
            match self.0.readline(PROMPT) {
                Ok(line) => {
                    self.keep(place);
                    Ok(Typed::Line(line))
                }
                Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
                Err(ReadlineError::Eof) => Ok(Typed::End),
                Err(ReadlineError::Io(error)) => Err(error),
                Err(error) => Err(io::Error::other(error)),
            }
        }

        /// Keeps the history, for the user alone; a disk that is full costs no more than that.
        fn keep(&mut self, place: &Place) {
            let path = place.history();
            let private = File::options().append(true).create(true).mode(0o600).open(&path);
            if private.is_ok() {
                let _ = self.0.save_history(&path);
            }
        }
    }

    /// What can be completed.
    struct Words {
        commands: Vec<String>,
        workflows: Vec<String>,
    }

    impl Completer for Words {
        type Candidate = String;

        fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
            Ok(complete(self, line.get(..at).unwrap_or(line)))
        }
    }

    impl Hinter for Words {
        type Hint = String;
    }

    impl Highlighter for Words {}

    impl Validator for Words {}

    impl Helper for Words {}

    /// Where the last word begins, and what it can be.
    fn complete(words: &Words, before: &str) -> (usize, Vec<String>) {
        let start = before.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let (earlier, word) = before.split_at(start);
        let earlier: Vec<&str> = earlier.split_whitespace().collect();
        let levels = ["error", "warn", "info", "debug", "trace"].map(str::to_owned);
        let known: &[String] = match earlier[..] {
            [] | ["help"] => &words.commands,
            ["deploy"] => &words.workflows,
            ["log"] => &levels,
            _ => &[],
        };
        (start, known.iter().filter(|known| known.starts_with(word)).cloned().collect())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn words_are_completed_by_what_stands_before() {
            let words = Words {
                commands: vec!["deploy".to_owned(), "deployments".to_owned(), "log".to_owned()],
                workflows: vec!["hello".to_owned(), "primes".to_owned()],
            };
            let complete = |line: &str| {
                let (start, found) = complete(&words, line);
                (start, found.join(" "))
            };
            assert_eq!(complete("dep"), (0, "deploy deployments".to_owned()));
            assert_eq!(complete("deploy "), (7, "hello primes".to_owned()));
            assert_eq!(complete("deploy p"), (7, "primes".to_owned()));
            assert_eq!(complete("log d"), (4, "debug".to_owned()));
            assert_eq!(complete("help lo"), (5, "log".to_owned()));
            assert_eq!(complete("stop "), (5, String::new()));
        }
    }
}
