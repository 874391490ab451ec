//! Nexmark on Renoir 0.6, over the events that `workflows/nexmark` makes, by the same code.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use renoir::operator::Operator;
use renoir::prelude::*;
use renoir::{RuntimeConfig, Stream, StreamContext};

use self::events::{Event, Events};
use self::rows::Row;
use crate::jobs::THREADS;

mod aligned;
#[expect(dead_code, reason = "what only queries of Skitter ask")]
#[path = "../../../../workflows/nexmark/events.rs"]
mod events;
#[path = "../../../../workflows/nexmark/letters.rs"]
mod letters;
mod queries;
#[path = "../../../../workflows/nexmark/random.rs"]
mod random;
mod rows;
mod winners;

/// Events that follow each other are made by the same replica, so many of them, as in `workflows/nexmark`.
const BLOCK: u64 = 1000;

/// What is asked, of how many events.
#[derive(Clone, clap::Args)]
pub struct Order {
    #[arg(long)]
    query: Query,
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Events in a second of their own time
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// So many events that follow each other are out of order
    #[arg(long, value_name = "GROUP", default_value_t = 1)]
    out_of_order: u64,
    #[arg(long, default_value = "best")]
    form: Form,
    /// Records in a batch
    #[arg(long, default_value_t = 2048)]
    batch: usize,
    /// Events of a replica from one watermark to the next
    #[arg(long, default_value_t = 4096)]
    watermark_every: u64,
    /// Write the answer to this file, its columns separated by tabs, rather than count its rows
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A session window of Renoir goes by the clock, so it has no eleventh query.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Query {
    Generator,
    Q0,
    Q1,
    Q2,
    Q3,
    Q4,
    Q5,
    Q7,
    Q8,
}

/// How a query is written.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum Form {
    /// With the windows that Renoir has. Those by event time begin with the first event of their key that comes, and
    /// what is earlier is in none of them; so the answers of q5, q7 and q8 are not those of Nexmark
    Docs,
    /// With windows, and winners of auctions, written against its traits: the answers are exact
    Best,
}

/// Runs a query to its end, and says how many rows it gave.
pub fn run(order: &Order) -> Result<(), String> {
    let env = StreamContext::new(RuntimeConfig::local(THREADS as u64).map_err(|error| error.to_string())?);
    let answer = Answer::new(order.output.as_deref())?;
    queries::write(&env, order, &answer);
    env.execute_blocking();
    let rows = answer.finish()?;
    println!("{:?}: {rows} rows", order.query);
    Ok(())
}

/// All events, of which each replica makes its share.
fn events(env: &StreamContext, order: &Order) -> Stream<impl Operator<Out = Event> + use<>> {
    let (made, events) = (Events::new(order.rate, order.out_of_order), order.events);
    let share = move |index: u64, replicas: u64| {
        let blocks = (index * BLOCK..events).step_by((replicas * BLOCK) as usize);
        let places = blocks.flat_map(move |from| from..(from + BLOCK).min(events));
        places.map(move |place| made.event(place))
    };
    env.stream_par_iter(share).batch_mode(BatchMode::fixed(order.batch))
}

/// The same with their times, and watermarks.
fn timed(env: &StreamContext, order: &Order) -> Stream<impl Operator<Out = Event> + use<>> {
    let disorder = Events::new(order.rate, order.out_of_order).disorder().as_millis() as i64;
    let (every, mut count) = (order.watermark_every, 0);
    events(env, order).add_timestamps(Event::time, move |_, time| {
        count += 1;
        (count % every == 0).then_some(time - disorder)
    })
}

/// Where rows go.
struct Answer {
    count: Arc<AtomicU64>,
    file: Option<Arc<Mutex<BufWriter<File>>>>,
}

impl Answer {
    fn new(output: Option<&Path>) -> Result<Answer, String> {
        let create = |path: &Path| File::create(path).map_err(|error| format!("{}: {error}", path.display()));
        let file = output.map(create).transpose()?.map(|file| Arc::new(Mutex::new(BufWriter::new(file))));
        Ok(Answer { count: Arc::default(), file })
    }

    /// Rows are written, or counted.
    fn take<R: Row + 'static>(&self, rows: Stream<impl Operator<Out = R> + 'static>) {
        let mut counted = Counted { here: 0, all: Arc::clone(&self.count) };
        match self.file.clone() {
            Some(file) => rows.for_each(move |row| {
                counted.add();
                let mut file = file.lock().expect("nobody panics while writing");
                writeln!(file, "{}", row.line()).expect("the answer can be written");
            }),
            None => rows.for_each(move |_| counted.add()),
        }
    }

    fn finish(self) -> Result<u64, String> {
        if let Some(file) = self.file {
            file.lock().expect("nobody panics while writing").flush().map_err(|error| error.to_string())?;
        }
        Ok(self.count.load(Relaxed))
    }
}

/// The rows of one replica, which are added to all of them when it ends.
struct Counted {
    here: u64,
    all: Arc<AtomicU64>,
}

impl Counted {
    fn add(&mut self) {
        self.here += 1;
    }
}

impl Clone for Counted {
    fn clone(&self) -> Counted {
        Counted { here: 0, all: Arc::clone(&self.all) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.fetch_add(self.here, Relaxed);
    }
}
