//! Nexmark: questions to the stream of an auction house, as other engines answer them.

mod events;
mod letters;
mod random;
mod sellers;
mod winners;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use skitter::clap;
use skitter::codec::Record;
use skitter::operations::windows::{Count, Folded, Greatest, Windowed, Windows};
use skitter::operations::{Numbers, Paced};
use skitter::prelude::*;

use self::events::{Bid, Event, Events};
use self::sellers::{NewAuctions, Seller};
use self::winners::{Sale, Winners, Won};

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
    /// Nothing: the events are made, and counted
    Generator,
    /// All bids, as they are
    Q0,
    /// All bids, with prices in another currency
    Q1,
    /// The bids on some auctions
    Q2,
    /// Who sells things of a category in some states?
    Q3,
    /// What auctions of each category are won for, on average
    Q4,
    /// Auctions with the most bids of the last ten seconds, every two seconds
    Q5,
    /// What the last ten auctions of each seller were won for, on average
    Q6,
    /// The highest bids of each ten seconds
    Q7,
    /// Persons who are new and sell something at once
    Q8,
    /// How much bidders bid before they pause
    Q11,
    /// How much bidders bid in ten seconds of the clock
    Q12,
    /// All bids, with what a table says of their auctions
    Q13,
}

/// What a dollar was worth in euro, in thousandths.
const EURO: u64 = 908;
/// The auctions of the second query.
const SOME: u64 = 123;
/// The rows of the table of the thirteenth query.
const ROWS: u64 = 10_000;
/// How many auctions of a seller the sixth query looks at.
const RECENT: usize = 10;
/// Events that follow each other are made by the same worker, so many of them.
const BLOCK: u64 = 1000;

pub fn nexmark(args: &Nexmark) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let output = args.output.as_deref();
    let made = Events::new(args.rate, args.out_of_order);
    let places = Paced::new(Numbers::in_turn(0..args.events, BLOCK), args.throttle);
    let events = workflow.source(places).map(move |place| made.event(place)).named("events");
    let disorder = made.disorder();
    let interest = made.interest().as_millis() as u64;
    let (two, ten) = (Duration::from_secs(2), Duration::from_secs(10));
    match args.query {
        Query::Generator => answer(events.map(|event| event.time()), output),
        Query::Q0 => {
            let rows =
                bids(events).map(|Bid { auction, bidder, price, time, extra }| (auction, bidder, price, time, extra));
            answer(rows, output);
        }
        Query::Q1 => {
            let euro = |Bid { auction, bidder, price, time, extra }| (auction, bidder, Euro(price * EURO), time, extra);
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
        Query::Q4 => {
            let won = events.watermarks(Event::time, disorder).flat_map(Sale::of).process(Winners { interest });
            let average = |(sum, count): &mut (u64, u64), won: Won| {
                (*sum, *count) = (*sum + won.price, *count + 1);
                (won.category, *sum / *count, *count)
            };
            final_answer(won.keyed_reduce(|won| won.category, (0, 0), average), |row| row.0, output);
        }
        Query::Q5 => {
            let bids = bids(events.watermarks(Event::time, disorder)).map(|bid| (bid.auction, bid.time as i64));
            let windows = Windows::sliding(ten, two);
            let counts = bids.keyed_window(|(auction, _)| *auction, |(_, time)| *time, windows, Count);
            // The counts of one window have its last time, which is in two seconds of no other.
            let most = Greatest::by(|count: &Windowed<u64, u64>| count.value);
            let most = counts.window(|count| count.window.last(), Windows::tumbling(two), most);
            let rows = |most: Windowed<(), Vec<Windowed<u64, u64>>>| {
                most.value.into_iter().map(|count| (count.window.start, count.key, count.value))
            };
            answer(most.flat_map(rows), output);
        }
        Query::Q6 => {
            let won = events.watermarks(Event::time, disorder).flat_map(Sale::of).process(Winners { interest });
            let average = |recent: &mut Vec<Won>, won: Won| {
                recent.insert(recent.partition_point(|other| *other < won), won);
                recent.drain(..recent.len().saturating_sub(RECENT));
                (won.seller, recent.iter().map(|won| won.price).sum::<u64>() / recent.len() as u64)
            };
            final_answer(won.keyed_reduce(|won| won.seller, Vec::new(), average), |row| row.0, output);
        }
        Query::Q7 => {
            let bids = bids(events.watermarks(Event::time, disorder));
            let highest = Greatest::by(|bid: &Bid| bid.price);
            let rows = |highest: Windowed<(), Vec<Bid>>| {
                let start = highest.window.start;
                let row =
                    move |Bid { auction, bidder, price, time, extra }| (start, auction, price, bidder, time, extra);
                highest.value.into_iter().map(row)
            };
            answer(bids.window(|bid| bid.time as i64, Windows::tumbling(ten), highest).flat_map(rows), output);
        }
        Query::Q8 => {
            let seen = |event: Event| match event {
                Event::Person(person) => Some((person.id, person.time as i64, Some(person.name))),
                Event::Auction(auction) => Some((auction.seller, auction.time as i64, None)),
                Event::Bid(_) => None,
            };
            let both = Folded::new(
                (None, false),
                |(new, sells): &mut (Option<String>, bool), (_, _, name)| match name {
                    Some(name) => *new = Some(name),
                    None => *sells = true,
                },
                |(new, sells), other| (*new, *sells) = (new.take().or(other.0), *sells | other.1),
            );
            let rows = |both: Windowed<u64, (Option<String>, bool)>| match both.value {
                (Some(name), true) => Some((both.key, name, both.window.start)),
                _ => None,
            };
            let seen = events.watermarks(Event::time, disorder).flat_map(seen);
            let seen = seen.keyed_window(|(id, ..)| *id, |(_, time, _)| *time, Windows::tumbling(ten), both);
            answer(seen.flat_map(rows), output);
        }
        Query::Q11 => {
            let bids = bids(events.watermarks(Event::time, disorder)).map(|bid| (bid.bidder, bid.time as i64));
            let sessions = bids.session_window(|(bidder, _)| *bidder, |(_, time)| *time, ten, Count);
            let row =
                |session: Windowed<u64, u64>| (session.key, session.value, session.window.start, session.window.end);
            answer(sessions.map(row), output);
        }
        Query::Q12 => {
            let bidders = bids(events).map(|bid| bid.bidder).processing_time();
            let counts = bidders.keyed_window(|(_, bidder)| *bidder, |(time, _)| *time, Windows::tumbling(ten), Count);
            let counts = counts.map(|count| (count.key, count.value));
            match output {
                // What a window has is not the same in each run; what all have is.
                Some(_) => {
                    let sum = |sum: &mut u64, (bidder, count): (u64, u64)| {
                        *sum += count;
                        (bidder, *sum)
                    };
                    final_answer(counts.keyed_reduce(|(bidder, _)| *bidder, 0, sum), |row| row.0, output);
                }
                None => answer(counts, output),
            }
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

/// Of rows that replace earlier ones of their key, the last ones are written; or all are counted.
fn final_answer<R: Record>(
    rows: Stream<impl Chain<Out = R>>,
    key: impl Fn(&R) -> u64 + Clone + Send + Sync + 'static,
    output: Option<&Path>,
) {
    match output {
        Some(_) => answer(rows.last_by(key), output),
        None => answer(rows, output),
    }
}

/// An amount in thousandths, written with three digits after the point.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Euro(u64);

impl Serialize for Euro {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&format_args!("{}.{:03}", self.0 / 1000, self.0 % 1000))
        } else {
            self.0.serialize(serializer)
        }
    }
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
