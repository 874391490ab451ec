//! An application that can be a bad peer: `peers bad-worker …` is a worker node on a cable that does what no cable
//! does. The tests run it among good ones, which are the same program.

mod cable;
mod workflows;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use skitter::App;
use skitter::id::NodeName;
use skitter::net::{COOKIE_FILE, Cookie, Fingerprint};
use skitter::node::worker::{self, WorkerOptions};
use skitter::node::{Console, NodeSettings, Signals};
use skitter::runtime::Settings;
use skitter::telemetry::{self, Format, Level};

use self::cable::{Cable, Fault};

type Problem = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let app = skitter::app!().workflows(&workflows::all());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["bad-worker", fault, name] => match bad_worker(app, fault, name) {
            Ok(()) => ExitCode::SUCCESS,
            Err(problem) => {
                say(&format!("{problem}\n"));
                ExitCode::FAILURE
            }
        },
        _ => app.main(),
    }
}

/// A worker with a fault: `stops-reading` until SIGUSR1, or `gives-no-credit`.
fn bad_worker(app: App, fault: &str, name: &str) -> Result<(), Problem> {
    telemetry::install(Level::Info, Format::Text, |line| say(&line));
    let mut signals = Signals::listen(|_| {})?;
    let fault = match fault {
        "stops-reading" => Fault::stops_reading()?,
        "gives-no-credit" => Fault::GivesNoCredit,
        _ => return Err("there is no such fault".into()),
    };
    let name = NodeName::new(name, "localhost")?;
    let home = std::env::home_dir().ok_or("there is no home")?;
    let program = std::fs::read(std::env::current_exe()?)?;
    let settings = NodeSettings {
        runtime: Settings { cores: 2, threads: 2, name: name.to_string(), ..Settings::default() },
        name,
        tags: Vec::new(),
        listen: ([127, 0, 0, 1], 0).into(),
        mapper_port: std::env::var("SKITTER_MAPPER_PORT")?.parse()?,
        cookie: Cookie::from_file_or_new(home.join(COOKIE_FILE))?,
        build: Fingerprint(*blake3::hash(&program).as_bytes()),
        transport: Arc::new(Cable(fault)),
        credentials: None,
    };
    Ok(worker::run(settings, Arc::new(app), WorkerOptions::default(), &mut signals, &mut Console::none())?)
}

fn say(text: &str) {
    // Nobody has to listen.
    let _ = io::stderr().write_all(text.as_bytes());
}
