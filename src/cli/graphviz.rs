//! Drawings as images, by Graphviz's `dot` if that is installed.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long `dot` may take. A workflow of a hundred vertices takes a tenth of a second; its time rises with the square
/// of the links, and who waits for longer than this is better served by the text and a layout of another kind.
pub const RENDER_TIMEOUT: Duration = Duration::from_secs(30);

/// Most bytes of an image, so that a drawing gone wrong does not fill the memory: a hundred times that of a workflow of
/// a thousand vertices.
pub const MAX_IMAGE: u64 = 256 * 1024 * 1024;

/// Most bytes of what `dot` complains about that are shown.
const MAX_COMPLAINT: u64 = 4096;

/// A form of image that Graphviz writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// Scalable; text stays text.
    Svg,
    /// Pixels, 96 to the inch.
    Png,
}

impl Image {
    fn option(self) -> &'static str {
        match self {
            Image::Svg => "-Tsvg",
            Image::Png => "-Tpng",
        }
    }
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphvizError {
    /// There is no `dot` on the path.
    #[error(
        "`dot` is not installed, which draws images; install the package `graphviz` (`apt install graphviz`, \
         `dnf install graphviz`, `brew install graphviz`), or draw as dot or json"
    )]
    NotInstalled,
    /// `dot` is there and cannot be run.
    #[error("cannot run `dot`")]
    Run(#[source] io::Error),
    /// `dot` could not be told the drawing, or its image not be read.
    #[error("lost the connection to `dot`")]
    Pipe(#[source] io::Error),
    /// `dot` did not finish in time, and was ended.
    #[error("`dot` did not finish within {} s; draw as dot, and try another layout, such as `sfdp`", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The image is larger than [`MAX_IMAGE`].
    #[error("the image is larger than {MAX_IMAGE} bytes; draw as svg or dot")]
    TooLarge,
    /// `dot` refused the drawing.
    #[error("`dot` failed ({status}): {complaint}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        complaint: String,
    },
}

/// Has Graphviz draw a graph: `dot`, a text in its language, as an image. Blocks until that is done, at most for
/// [`RENDER_TIMEOUT`].
///
/// # Errors
/// When `dot` is not installed, refuses the text, or takes too long.
pub fn render(dot: &str, image: Image) -> Result<Vec<u8>, GraphvizError> {
    let mut command = Command::new("dot");
    command.arg(image.option());
    pipe(command, dot.as_bytes(), RENDER_TIMEOUT)
}

/// Runs a command with `input` and returns what it writes. Input, output and complaints have a thread each: a command
/// that waits for one of them cannot keep us from serving the others.
fn pipe(mut command: Command, input: &[u8], timeout: Duration) -> Result<Vec<u8>, GraphvizError> {
    let deadline = Instant::now() + timeout;
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => GraphvizError::NotInstalled,
        _ => GraphvizError::Run(error),
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // Nothing is sent on it: it closes when both readers have seen their end.
    let (reading, all_read) = sync_channel::<()>(0);
    let (status, output, complaint) = thread::scope(|scope| {
        // An input that is not read to its end is no failure; the exit status says whether there was one.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let also_reading = reading.clone();
        let output = scope.spawn(move || {
            let _reading = reading;
            read(stdout, MAX_IMAGE + 1)
        });
        let complaint = scope.spawn(move || {
            let _reading = also_reading;
            let mut stderr = stderr;
            let complaint = read(stderr.as_mut(), MAX_COMPLAINT)?;
            // What is not shown has to be taken, too, or `dot` waits for us.
            stderr.map_or(Ok(0), |mut stderr| io::copy(&mut stderr, &mut io::sink()))?;
            Ok(complaint)
        });
        let in_time = all_read.recv_timeout(timeout) != Err(RecvTimeoutError::Timeout);
        // Ending the process ends the pipes, and with them the threads.
        let status = if in_time { wait(&mut child, deadline) } else { end(&mut child).map(|_| None) };
        (status, output.join().unwrap_or_else(|_| Ok(Vec::new())), complaint.join().unwrap_or_else(|_| Ok(Vec::new())))
    });
    let status = status.map_err(GraphvizError::Pipe)?.ok_or(GraphvizError::TimedOut(timeout))?;
    let output = output.map_err(GraphvizError::Pipe)?;
    if output.len() as u64 > MAX_IMAGE {
        return Err(GraphvizError::TooLarge);
    }
    if !status.success() {
        let complaint = complaint.map_err(GraphvizError::Pipe)?;
        return Err(GraphvizError::Failed { status, complaint: String::from_utf8_lossy(&complaint).trim().to_owned() });
    }
    Ok(output)
}

/// Reads to the end, but no more than `most` bytes.
fn read(pipe: Option<impl Read>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Waits for a process that has closed its output, and so is about to end; nothing if it has not by the deadline.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            end(child)?;
            return Ok(None);
        }
        // The standard library knows no wait with a time-out, and nothing tells us of the end.
        thread::park_timeout(Duration::from_millis(1));
    }
}

fn end(child: &mut Child) -> io::Result<ExitStatus> {
    child.kill()?;
    child.wait()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::{Accept, StreamSource};
    use crate::workflow::WorkflowBuilder;

    const LONG: Duration = Duration::from_secs(20);

    /// Whether there is a `dot` to test with; .ci/run installs it where it can.
    fn installed() -> bool {
        Command::new("dot").arg("-V").stderr(Stdio::null()).status().is_ok()
    }

    fn names() -> Vec<String> {
        let mut names: Vec<String> =
            ["a\"b", "c\\", "\\N", "{d|<e>}", "f & g &lt;", "h\ni", "ü ⬡⬢ 水", "-->", "]", "j  k"]
                .map(str::to_owned)
                .to_vec();
        // Every printable character of ASCII before and behind every other one.
        for a in '!'..='~' {
            names.push(('!'..='~').flat_map(|b| [a, b]).collect());
        }
        names.push((1u8..32).map(char::from).chain(['\u{7f}', '\u{85}', '\u{fffe}']).collect());
        names
    }

    fn unescape(svg: &str) -> String {
        let entities =
            [("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&#45;", "-"), ("&#160;", " ")];
        entities.iter().fold(svg.to_owned(), |svg, (entity, c)| svg.replace(entity, c)).replace("&amp;", "&")
    }

    #[test]
    fn dot_shows_every_name_as_it_is() {
        if !installed() {
            return;
        }
        let workflow = WorkflowBuilder::new();
        for name in names() {
            let source = workflow.source(StreamSource::new(|| 0..9u64)).named(&name);
            source.filter(|_| true).named(&format!("{name} filtered")).ports().stream(Accept).discard();
        }
        let dot = workflow.build().expect("a valid workflow").to_dot();
        let svg = String::from_utf8(render(&dot, Image::Svg).expect("drawn")).expect("text");
        let shown = unescape(&svg);
        for name in names().iter().filter(|name| !name.contains(char::is_control)) {
            assert!(shown.contains(&format!(">{name}</text>")), "{name}");
            assert!(shown.contains(&format!(">{name} filtered</text>")), "{name}");
        }
        assert!(shown.contains(">h</text>") && shown.contains(">i</text>") && shown.contains(">i filtered</text>"));
    }

    #[test]
    fn dot_writes_pixels() {
        if installed() {
            let png = render("digraph { a -> b }", Image::Png).expect("drawn");
            assert!(png.starts_with(b"\x89PNG"));
        }
    }

    #[test]
    fn what_dot_refuses_is_told() {
        if installed() {
            let error = render("digraph {", Image::Svg).expect_err("no graph");
            assert!(
                matches!(&error, GraphvizError::Failed { complaint, .. } if complaint.contains("syntax error")),
                "{error}"
            );
        }
    }

    #[test]
    fn without_dot_the_package_is_named() {
        let mut command = Command::new("dot");
        command.env("PATH", "");
        let error = pipe(command, b"digraph {}", LONG).expect_err("nothing is on the path");
        assert!(matches!(error, GraphvizError::NotInstalled), "{error}");
        assert!(error.to_string().contains("apt install graphviz"), "{error}");
    }

    #[test]
    fn more_than_pipes_hold_passes_both_ways() {
        let text = "0123456789".repeat(1_000_000);
        let output = pipe(Command::new("cat"), text.as_bytes(), LONG).expect("repeated");
        assert_eq!(output.len(), text.len());
    }

    #[test]
    fn a_command_that_reads_nothing_does_not_hold_us_up() {
        let input = vec![0; 1_000_000];
        let error = pipe(Command::new("false"), &input, LONG).expect_err("it fails");
        assert!(matches!(error, GraphvizError::Failed { .. }), "{error}");
        assert!(pipe(Command::new("true"), &input, LONG).expect("it succeeds").is_empty());
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let begin = Instant::now();
        let mut command = Command::new("sleep");
        command.arg("60");
        let error = pipe(command, b"", Duration::from_millis(50)).expect_err("it takes too long");
        assert!(matches!(error, GraphvizError::TimedOut(_)), "{error}");
        assert!(begin.elapsed() < LONG);
    }
}
