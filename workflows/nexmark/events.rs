//! The events of Nexmark, by the parameters of Beam: persons, auctions and bids of an auction house. Event `i` depends
//! on `i` alone, so they can be made anywhere, in any order.

use std::f64::consts::LN_10;
use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skitter::workflow::Timestamp;

use super::letters::letters;
use super::random::Random;

/// Somebody who sells and bids. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub id: u64,
    pub name: String,
    pub email: String,
    pub card: String,
    pub city: String,
    pub state: String,
    pub time: u64,
    pub extra: String,
}

/// Something that is sold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Auction {
    pub id: u64,
    pub item: String,
    pub description: String,
    pub initial_bid: u64,
    pub reserve: u64,
    pub time: u64,
    pub expires: u64,
    pub seller: u64,
    pub category: u64,
    pub extra: String,
}

/// What somebody would pay for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bid {
    pub auction: u64,
    pub bidder: u64,
    pub price: u64,
    pub time: u64,
    pub extra: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

impl Event {
    /// When it happened.
    pub fn time(&self) -> Timestamp {
        let (Event::Person(Person { time, .. }) | Event::Auction(Auction { time, .. }) | Event::Bid(Bid { time, .. })) =
            self;
        *time as Timestamp
    }
}

/// 2015-07-15T00:00:00Z.
const BEGIN: u64 = 1_436_918_400_000;

/// Of so many events in a row,
const EPOCH: u64 = PERSONS + AUCTIONS + BIDS;
/// these are persons, the first ones,
const PERSONS: u64 = 1;
/// then come auctions,
const AUCTIONS: u64 = 3;
/// then bids.
const BIDS: u64 = 46;

/// Persons that sell and bid.
const ACTIVE_PERSONS: u64 = 1000;
/// Auctions that are bid for.
const OPEN_AUCTIONS: u64 = 100;
/// How far ahead of those that are there ids may be.
const LEAD: u64 = 10;
/// Where ids begin.
const FIRST_ID: u64 = 1000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;
/// One of so many sellers, auctions and bidders is a hot one.
const HOT: u64 = 100;

/// Bytes that events have on average: what is missing is filled up.
const PERSON_BYTES: usize = 200;
const AUCTION_BYTES: usize = 500;
const BID_BYTES: usize = 100;

const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const CITIES: [&str; 10] =
    ["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];

/// Makes events.
#[derive(Clone, Copy, Debug)]
pub struct Events {
    /// Microseconds from one to the next.
    delay: u64,
    /// So many that follow each other are out of order.
    group: u64,
}

impl Events {
    /// So many a second of event time, each out of order within its group of so many.
    pub fn new(rate: u64, group: u64) -> Events {
        let rate = rate.max(1);
        Events { delay: (1_000_000 + rate / 2) / rate, group: group.max(1) }
    }

    /// How much later than a later one an event may come.
    pub fn disorder(&self) -> Duration {
        Duration::from_millis((self.delay * (self.group - 1)).div_ceil(1000))
    }

    /// How long after an auction has begun there are bids for it.
    pub fn interest(&self) -> Duration {
        // It is one of those that are open until so many others have begun; all of them are in one epoch more. Times
        // are whole milliseconds, and so may be one more apart than the events are.
        Duration::from_millis((self.delay * (OPEN_AUCTIONS.div_ceil(AUCTIONS) + 1) * EPOCH).div_ceil(1000))
    }

    /// The event that is the given one in the stream, counted from 0.
    pub fn event(&self, place: u64) -> Event {
        let number = (place / self.group) * self.group + (place * 953) % self.group;
        let mut random = Random::new(number);
        match number % EPOCH {
            at if at < PERSONS => Event::Person(self.person(number, &mut random)),
            at if at < PERSONS + AUCTIONS => Event::Auction(self.auction(number, &mut random)),
            _ => Event::Bid(self.bid(number, &mut random)),
        }
    }

    fn time(&self, number: u64) -> u64 {
        BEGIN + number * self.delay / 1000
    }

    fn person(&self, number: u64, random: &mut Random) -> Person {
        let id = last_person(number) + FIRST_ID;
        let name = format!("{} {}", pick(&FIRST_NAMES, random), pick(&LAST_NAMES, random));
        let email = format!("{}@{}.com", text(7, random), text(5, random));
        let mut card = String::with_capacity(19);
        for group in 0..4 {
            let space = if group > 0 { " " } else { "" };
            // Writing to a string does not fail.
            let _ = write!(card, "{space}{:04}", random.below(10_000));
        }
        let (city, state) = (pick(&CITIES, random).to_owned(), pick(&STATES, random).to_owned());
        let bytes = 8 + name.len() + email.len() + card.len() + city.len() + state.len();
        let extra = extra(bytes, PERSON_BYTES, random);
        Person { id, name, email, card, city, state, time: self.time(number), extra }
    }

    fn auction(&self, number: u64, random: &mut Random) -> Auction {
        let (id, time) = (last_auction(number) + FIRST_ID, self.time(number));
        let is_hot = random.below(4) > 0;
        let seller = if is_hot { last_person(number) / HOT * HOT } else { next_person(number, random) };
        let category = FIRST_CATEGORY + random.below(CATEGORIES);
        let initial_bid = price(random);
        // About as long as it takes until so many others have been opened.
        let horizon = self.time(number + OPEN_AUCTIONS * EPOCH / AUCTIONS) - time;
        let expires = time + 1 + random.below((horizon * 2).max(1));
        let (item, description) = (text(20, random), text(100, random));
        let reserve = initial_bid + price(random);
        let extra = extra(8 + item.len() + description.len() + 40, AUCTION_BYTES, random);
        let seller = seller + FIRST_ID;
        Auction { id, item, description, initial_bid, reserve, time, expires, seller, category, extra }
    }

    fn bid(&self, number: u64, random: &mut Random) -> Bid {
        let is_hot = random.below(2) > 0;
        let auction = if is_hot { last_auction(number) / HOT * HOT } else { next_auction(number, random) };
        let is_hot = random.below(4) > 0;
        let bidder = if is_hot { last_person(number) / HOT * HOT + 1 } else { next_person(number, random) };
        let price = price(random);
        let extra = extra(32, BID_BYTES, random);
        Bid { auction: auction + FIRST_ID, bidder: bidder + FIRST_ID, price, time: self.time(number), extra }
    }
}

/// The newest person that was there at an event: each epoch begins with its only one.
fn last_person(number: u64) -> u64 {
    number / EPOCH * PERSONS
}

/// The newest auction that was there at an event; before the first one it is said to be the first, too.
fn last_auction(number: u64) -> u64 {
    let (epoch, at) = (number / EPOCH, number % EPOCH);
    match at.checked_sub(PERSONS) {
        None => (epoch * AUCTIONS).saturating_sub(1),
        Some(at) => epoch * AUCTIONS + at.min(AUCTIONS - 1),
    }
}

fn next_person(number: u64, random: &mut Random) -> u64 {
    let there = last_person(number) + 1;
    let active = there.min(ACTIVE_PERSONS);
    there - active + random.below(active + LEAD)
}

fn next_auction(number: u64, random: &mut Random) -> u64 {
    let newest = last_auction(number);
    let oldest = newest.saturating_sub(OPEN_AUCTIONS);
    oldest + random.below(newest - oldest + 1 + LEAD)
}

fn pick<'a>(words: &[&'a str], random: &mut Random) -> &'a str {
    words[random.below(words.len() as u64) as usize]
}

/// From 100 to 100 million, each magnitude as often as the others.
fn price(random: &mut Random) -> u64 {
    let magnitude = random.fraction() * 6.0;
    // Powers take three times as long as this, which differs from them by less than a millionth.
    let near = (magnitude * LN_10).exp() * 100.0 + 0.5;
    let price = near as u32;
    let beyond = near - f64::from(price);
    let price = if (1e-5..1.0 - 1e-5).contains(&beyond) { price } else { (10f64.powf(magnitude) * 100.0 + 0.5) as u32 };
    u64::from(price)
}

/// Words of three to so many characters in all.
fn text(most: u64, random: &mut Random) -> String {
    let length = 3 + random.below(most - 3) as usize;
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        let letter = if random.below(13) == 0 { ' ' } else { char::from(b'a' + random.below(26) as u8) };
        // Nobody sees spaces at the ends.
        if letter != ' ' || !text.is_empty() {
            text.push(letter);
        }
    }
    text.truncate(text.trim_end_matches(' ').len());
    text
}

/// What fills an event of so many bytes up to about its average size.
fn extra(bytes: usize, average: usize, random: &mut Random) -> String {
    if bytes > average {
        return String::new();
    }
    let missing = average - bytes;
    // A fifth more or less.
    let spread = (missing as f64 * 0.2 + 0.5) as usize;
    let more = if spread == 0 { 0 } else { random.below(2 * spread as u64) as usize };
    letters(missing - spread + more, random)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use std::collections::HashMap;

    use super::*;

    fn line(event: &Event) -> String {
        match event {
            Event::Person(Person { id, name, email, card, city, state, time, extra }) => {
                format!("p\t{id}\t{name}\t{email}\t{card}\t{city}\t{state}\t{time}\t{extra}\n")
            }
            Event::Auction(auction) => {
                let Auction { id, item, description, initial_bid, reserve, .. } = auction;
                let Auction { time, expires, seller, category, extra, .. } = auction;
                let first = format!("a\t{id}\t{item}\t{description}\t{initial_bid}\t{reserve}");
                format!("{first}\t{time}\t{expires}\t{seller}\t{category}\t{extra}\n")
            }
            Event::Bid(Bid { auction, bidder, price, time, extra }) => {
                format!("b\t{auction}\t{bidder}\t{price}\t{time}\t{extra}\n")
            }
        }
    }

    /// Sums of what other engines make, as far as they write it down so.
    #[test]
    fn events_are_those_of_beam() {
        for (count, rate, sum) in [(100_000, 100, "884892a6"), (1_000_000, 1000, "fde5ed71")] {
            let (events, mut hasher) = (Events::new(rate, 1), Sha256::new());
            (0..count).for_each(|place| hasher.update(line(&events.event(place))));
            let found: String = hasher.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, sum);
        }
    }

    #[test]
    fn out_of_order_they_are_the_same_events() {
        let (plain, mixed) = (Events::new(1000, 1), Events::new(1000, 40));
        let lines = |events: Events| -> Vec<String> {
            let mut lines: Vec<String> = (0..400).map(|place| line(&events.event(place))).collect();
            lines.sort();
            lines
        };
        assert_ne!(plain.event(1), mixed.event(1));
        assert_eq!(lines(plain), lines(mixed));
    }

    #[test]
    fn nobody_bids_for_an_auction_behind_its_interest() {
        // With these, some events are a fraction of a millisecond apart.
        for rate in [100, 1000, 700_000, 1_000_000] {
            let events = Events::new(rate, 1);
            let (interest, mut begun) = (events.interest().as_millis() as u64, HashMap::new());
            for event in (0..30_000).map(|place| events.event(place)) {
                match event {
                    Event::Auction(auction) => drop(begun.insert(auction.id, auction.time)),
                    Event::Bid(bid) => {
                        let begin = *begun.get(&bid.auction).unwrap_or(&bid.time);
                        assert!(bid.time <= begin + interest, "rate {rate}: {} ms after it", bid.time - begin);
                    }
                    Event::Person(_) => {}
                }
            }
        }
    }
}
