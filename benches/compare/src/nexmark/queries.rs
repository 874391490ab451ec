//! Nexmark's queries, as the documentation and the examples of Renoir write such.

use renoir::operator::Operator;
use renoir::operator::window::{EventTimeWindow, WindowDescription};
use renoir::operator::{StreamElement, Timestamp};
use renoir::{Stream, StreamContext};

use super::aligned::Aligned;
use super::events::{Auction, Bid, Event, Person};
use super::winners::{self, Sale};
use super::{Answer, Form, Order, Query, events, timed};

/// What a dollar was worth in euro, in thousandths.
const EURO: u64 = 908;
/// The auctions of the second query.
const SOME: u64 = 123;
/// The category of the third one, in these states.
const CATEGORY: u64 = 10;
const STATES: [&str; 3] = ["OR", "ID", "CA"];
/// Of windows, in milliseconds.
const TWO: Timestamp = 2000;
const TEN: Timestamp = 10_000;

/// Adds a query to what `env` runs.
pub fn write(env: &StreamContext, order: &Order, answer: &Answer) {
    match order.query {
        Query::Generator => answer.take(events(env, order).map(|event| event.time())),
        Query::Q0 => {
            let row = |Bid { auction, bidder, price, time, extra }| (auction, bidder, price, time, extra);
            answer.take(events(env, order).filter_map(bid).map(row));
        }
        Query::Q1 => {
            let euro = |Bid { auction, bidder, price, time, extra }| {
                let thousandths = price * EURO;
                (auction, bidder, format!("{}.{:03}", thousandths / 1000, thousandths % 1000), time, extra)
            };
            answer.take(events(env, order).filter_map(bid).map(euro));
        }
        Query::Q2 => {
            let some = events(env, order).filter_map(bid).filter(|bid| bid.auction % SOME == 0);
            answer.take(some.map(|bid| (bid.auction, bid.price)));
        }
        Query::Q3 => q3(env, order, answer),
        Query::Q4 => {
            let sales = timed(env, order).filter_map(Sale::of);
            if order.form == Form::Docs {
                q4(winners::by_transaction(sales), answer);
            } else {
                q4(winners::by_hand(sales), answer);
            }
        }
        Query::Q5 if order.form == Form::Docs => {
            q5(env, order, EventTimeWindow::sliding(TEN, TWO), EventTimeWindow::tumbling(TWO), answer);
        }
        Query::Q5 => q5(env, order, Aligned { size: TEN, slide: TWO }, Aligned { size: TWO, slide: TWO }, answer),
        Query::Q7 if order.form == Form::Docs => q7(env, order, EventTimeWindow::tumbling(TEN), answer),
        Query::Q7 => q7(env, order, Aligned { size: TEN, slide: TEN }, answer),
        Query::Q8 if order.form == Form::Docs => q8(env, order, EventTimeWindow::tumbling(TEN), answer),
        Query::Q8 => q8(env, order, Aligned { size: TEN, slide: TEN }, answer),
    }
}

fn bid(event: Event) -> Option<Bid> {
    if let Event::Bid(bid) = event { Some(bid) } else { None }
}

fn person(event: Event) -> Option<Person> {
    if let Event::Person(person) = event { Some(person) } else { None }
}

fn auction(event: Event) -> Option<Auction> {
    if let Event::Auction(auction) = event { Some(auction) } else { None }
}

/// Records with their times.
fn with_time<T: Clone + Send + 'static>(
    stream: Stream<impl Operator<Out = T> + 'static>,
) -> Stream<impl Operator<Out = (Timestamp, T)>> {
    stream.rich_map_custom(|mut input| match input.next() {
        StreamElement::Timestamped(item, time) => StreamElement::Item((time, item)),
        // Renoir gives what has no time none.
        other => other.map(|item| (0, item)),
    })
}

fn q3(env: &StreamContext, order: &Order, answer: &Answer) {
    let of_interest = |event: &Event| matches!(event, Event::Person(it) if STATES.contains(&it.state.as_str()));
    let of_category = |event: &Event| matches!(event, Event::Auction(it) if it.category == CATEGORY);
    let routes = events(env, order).route().add_route(of_interest).add_route(of_category).build();
    let [persons, auctions] = routes.try_into().ok().expect("as many as were added");
    let persons = persons.filter_map(person).map(|it| (it.id, it.name, it.city, it.state));
    let auctions = auctions.filter_map(auction).map(|it| (it.seller, it.id));
    let both = persons.join(auctions, |it| it.0, |it| it.0).drop_key();
    answer.take(both.map(|((_, name, city, state), (_, auction))| (name, city, state, auction)));
}

fn q4(won: Stream<impl Operator<Out = winners::Won> + 'static>, answer: &Answer) {
    let local = |(sum, count): &mut (u64, u64), (_, price): winners::Won| (*sum, *count) = (*sum + price, *count + 1);
    let global = |all: &mut (u64, u64), part: (u64, u64)| *all = (all.0 + part.0, all.1 + part.1);
    let averages = won.group_by_fold(|won| won.0, (0, 0), local, global).unkey();
    answer.take(averages.map(|(category, (sum, count))| (category, sum / count, count)));
}

fn q5<W>(env: &StreamContext, order: &Order, windows: W, step: W, answer: &Answer)
where
    W: WindowDescription<()> + WindowDescription<(u64, usize)> + Clone + 'static,
{
    let auctions = timed(env, order).filter_map(bid).map(|bid| bid.auction);
    let counts = auctions.group_by(|auction| *auction).map(|_| ()).window(windows).count().unkey();
    let most = counts.window_all(step).fold(Vec::new(), |most: &mut Vec<(u64, usize)>, count| {
        keep_greatest(most, count, |(_, bids)| *bids as u64);
    });
    let rows = with_time(most.drop_key())
        .flat_map(|(time, most)| most.into_iter().map(move |(auction, bids)| (time + 1 - TEN, auction, bids)));
    answer.take(rows);
}

fn q7<W>(env: &StreamContext, order: &Order, windows: W, answer: &Answer)
where
    W: WindowDescription<Bid> + WindowDescription<Vec<Bid>> + Clone + 'static,
{
    let bids = timed(env, order).filter_map(bid).key_by(|_| ());
    let highest = bids.window(windows.clone()).fold(Vec::new(), |highest: &mut Vec<Bid>, bid| {
        keep_greatest(highest, bid, |bid| bid.price);
    });
    let highest = highest.drop_key().window_all(windows).fold(Vec::new(), |highest: &mut Vec<Bid>, bids: &Vec<Bid>| {
        bids.iter().for_each(|bid| keep_greatest(highest, bid, |bid| bid.price));
    });
    let rows = with_time(highest.drop_key()).flat_map(|(end, highest)| {
        let row =
            move |Bid { auction, bidder, price, time, extra }| (end + 1 - TEN, auction, price, bidder, time, extra);
        highest.into_iter().map(row)
    });
    answer.take(rows);
}

fn q8<W>(env: &StreamContext, order: &Order, windows: W, answer: &Answer)
where
    W: WindowDescription<(u64, Option<String>)> + Clone + 'static,
{
    let seen = |event| match event {
        Event::Person(person) => Some((person.id, Some(person.name))),
        Event::Auction(auction) => Some((auction.seller, None)),
        Event::Bid(_) => None,
    };
    let seen = timed(env, order).filter_map(seen).group_by(|(id, _)| *id);
    let both =
        seen.window(windows).fold((None, false), |(new, sells): &mut (Option<String>, bool), (_, name)| match name {
            Some(name) => *new = Some(name.clone()),
            None => *sells = true,
        });
    let rows = with_time(both.unkey()).filter_map(|(end, (id, both))| match both {
        (Some(name), true) => Some((id, name, end + 1 - TEN)),
        _ => None,
    });
    answer.take(rows);
}

/// Keeps one more of what is greatest, or begins anew with it.
fn keep_greatest<T: Clone>(greatest: &mut Vec<T>, next: &T, value: impl Fn(&T) -> u64) {
    match greatest.first().map(|one| value(next).cmp(&value(one))) {
        Some(std::cmp::Ordering::Less) => {}
        Some(std::cmp::Ordering::Equal) => greatest.push(next.clone()),
        None | Some(std::cmp::Ordering::Greater) => {
            greatest.clear();
            greatest.push(next.clone());
        }
    }
}
