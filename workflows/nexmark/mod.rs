//! Nexmark: questions to the stream of an auction house, as other engines answer them.

mod events;
mod random;
mod sellers;

use std::path::{Path, PathBuf};

use skitter::clap;
use skitter::codec::Record;
use skitter::operations::{Numbers, Paced};
use skitter::prelude::*;

use self::events::{Bid, Event, Events};
use self::sellers::{NewAuctions, Seller};

#[derive(clap::Args)]
pub struct Nexmark {
    /// Which question
    #[arg(long)]
    query: Query,

    /// How many events
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,

    /// Events in a second of their own time, which is not that of the clock
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,

    /// So many events that follow each other are out of order
    #[arg(long, value_name = "GROUP", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    out_of_order: u64,

    /// Events in a second of the clock, about, of each source; as many as there can be if 0
    #[arg(long, value_name = "RATE", default_value_t = 0)]
    throttle: u64,

    /// Write the answer to this file, its columns separated by tabs, rather than count its rows
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Query {
    /// All bids, as they are
    Q0,
    /// All bids, with prices in another currency
    Q1,
    /// The bids on some auctions
    Q2,
    /// Who sells things of a category in some states?
    Q3,
    /// All bids, with what a table says of their auctions
    Q13,
}

/// What a dollar was worth in euro, in thousandths.
const EURO: u64 = 908;
/// The auctions of the second query.
const SOME: u64 = 123;
/// The rows of the table of the thirteenth query.
const ROWS: u64 = 10_000;

pub fn nexmark(args: &Nexmark) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let output = args.output.as_deref();
    let made = Events::new(args.rate, args.out_of_order);
    let places = Paced::new(Numbers::new(0..args.events), args.throttle);
    let events = workflow.source(places).map(move |place| made.event(place)).named("events");
    match args.query {
        Query::Q0 => {
            let rows =
                bids(events).map(|Bid { auction, bidder, price, time, extra }| (auction, bidder, price, time, extra));
            answer(rows, output);
        }
        Query::Q1 => {
            let euro = |Bid { auction, bidder, price, time, extra }| {
                let thousandths = price * EURO;
                (auction, bidder, format!("{}.{:03}", thousandths / 1000, thousandths % 1000), time, extra)
            };
            answer(bids(events).map(euro), output);
        }
        Query::Q2 => {
            let some = |bid: Bid| (bid.auction % SOME == 0).then_some((bid.auction, bid.price));
            answer(bids(events).flat_map(some), output);
        }
        Query::Q3 => {
            let sellers = events.flat_map(Seller::of).vertex(NewAuctions, KeyedState).named("sellers");
            answer(sellers, output);
        }
        Query::Q13 => {
            let table: Vec<u64> = (0..ROWS).collect();
            let joined = move |Bid { auction, bidder, price, time, .. }| {
                let value = table.get((auction % ROWS) as usize).copied();
                value.map(|value| (auction, bidder, price, time, value))
            };
            answer(bids(events).flat_map(joined), output);
        }
    }
    workflow.build()
}

fn bids(events: Stream<impl Chain<Out = Event>>) -> Stream<impl Chain<Out = Bid>> {
    let bid = |event| if let Event::Bid(bid) = event { Some(bid) } else { None };
    events.flat_map(bid).named("bids")
}

/// Rows are written, or counted.
fn answer<R: Record>(rows: Stream<impl Chain<Out = R>>, output: Option<&Path>) {
    match output {
        Some(path) => drop(rows.write_raw_tsv(path)),
        None => {
            let count = rows.fold_combine(0u64, |count, _| *count += 1, |count, more| *count += more);
            drop(count.named("rows").print());
        }
    }
}
