//! Which bid wins an auction: by a transaction window of Renoir, and by hand.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use renoir::Stream;
use renoir::operator::Operator;
use renoir::operator::window::{TransactionOp, TransactionWindow};
use renoir::operator::{ElementGenerator, StreamElement};
use serde::{Deserialize, Serialize};

use super::events::Event;
use crate::hash::FastBuild;

/// What counts of an event.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Sale {
    Opens(Open),
    Offer { auction: u64, price: u64, time: u64 },
}

/// An auction while it lasts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Open {
    auction: u64,
    begins: u64,
    expires: u64,
    category: u64,
}

/// A category with the price of one that was won.
pub type Won = (u64, u64);

impl Sale {
    pub fn of(event: Event) -> Option<Sale> {
        match event {
            Event::Auction(auction) => {
                let (begins, expires) = (auction.time, auction.expires);
                Some(Sale::Opens(Open { auction: auction.id, begins, expires, category: auction.category }))
            }
            Event::Bid(bid) => Some(Sale::Offer { auction: bid.auction, price: bid.price, time: bid.time }),
            Event::Person(_) => None,
        }
    }

    pub fn auction(&self) -> u64 {
        match self {
            Sale::Opens(open) => open.auction,
            Sale::Offer { auction, .. } => *auction,
        }
    }
}

/// What is known of an auction. Bids may come before it does.
#[derive(Clone, Default)]
pub struct Known {
    open: Option<Open>,
    best: Option<u64>,
    early: Vec<(u64, u64)>,
}

impl Known {
    fn add(&mut self, sale: &Sale) {
        match (*sale, self.open) {
            (Sale::Opens(open), _) => {
                self.open = Some(open);
                for (price, time) in std::mem::take(&mut self.early) {
                    self.bid(&open, price, time);
                }
            }
            (Sale::Offer { price, time, .. }, Some(open)) => self.bid(&open, price, time),
            (Sale::Offer { price, time, .. }, None) => self.early.push((price, time)),
        }
    }

    fn bid(&mut self, open: &Open, price: u64, time: u64) {
        if (open.begins..=open.expires).contains(&time) {
            self.best = self.best.max(Some(price));
        }
    }

    fn won(self) -> Option<Won> {
        Some((self.open?.category, self.best?))
    }
}

/// As Renoir's examples write it: a transaction for each auction.
pub fn by_transaction(sales: Stream<impl Operator<Out = Sale> + 'static>) -> Stream<impl Operator<Out = Won>> {
    let until = |sale: &Sale| match sale {
        Sale::Opens(open) => TransactionOp::CommitAfter(open.expires as i64),
        Sale::Offer { .. } => TransactionOp::Continue,
    };
    let known = sales.group_by(Sale::auction).window(TransactionWindow::new(until));
    known.fold(Known::default(), |known, sale| known.add(sale)).drop_key().filter_map(Known::won)
}

/// All auctions of a replica in one table, and one queue of what ends when.
#[derive(Clone, Default)]
struct Winners {
    known: HashMap<u64, Known, FastBuild>,
    ends: BinaryHeap<Reverse<(u64, u64)>>,
    ready: VecDeque<Won>,
    ended: bool,
}

impl Winners {
    fn next(&mut self, mut input: ElementGenerator<impl Operator<Out = Sale>>) -> StreamElement<Won> {
        loop {
            if let Some(won) = self.ready.pop_front() {
                return StreamElement::Item(won);
            }
            if std::mem::take(&mut self.ended) {
                return StreamElement::FlushAndRestart;
            }
            match input.next() {
                StreamElement::Item(sale) | StreamElement::Timestamped(sale, _) => {
                    let auction = sale.auction();
                    self.known.entry(auction).or_default().add(&sale);
                    if let Sale::Opens(open) = sale {
                        self.ends.push(Reverse((open.expires, auction)));
                    }
                }
                StreamElement::Watermark(time) => self.end(time as u64),
                StreamElement::FlushAndRestart => {
                    self.end(u64::MAX);
                    self.ended = true;
                }
                StreamElement::FlushBatch => return StreamElement::FlushBatch,
                StreamElement::Terminate => return StreamElement::Terminate,
            }
        }
    }

    fn end(&mut self, time: u64) {
        while self.ends.peek().is_some_and(|Reverse((expires, _))| *expires < time) {
            let ended = self.ends.pop().and_then(|Reverse((_, auction))| self.known.remove(&auction));
            self.ready.extend(ended.and_then(Known::won));
        }
    }
}

/// As the optimised form in Renoir's examples: an operator of its own.
pub fn by_hand(sales: Stream<impl Operator<Out = Sale> + 'static>) -> Stream<impl Operator<Out = Won>> {
    let mut winners = Winners::default();
    let sales = sales.group_by(Sale::auction).drop_key();
    sales.rich_map_custom(move |input| winners.next(input))
}
