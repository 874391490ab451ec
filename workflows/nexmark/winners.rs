//! Which bid wins an auction: the highest in its time, and of equal ones the earliest.

use serde::{Deserialize, Serialize};
use skitter::operations::{AtKey, Process};
use skitter::prelude::*;
use skitter::workflow::Timestamp;

use super::events::Event;

/// What counts of an event.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Sale {
    Opens { auction: u64, open: Open },
    Offer { auction: u64, offer: Offer },
}

/// An auction while it lasts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Open {
    begins: u64,
    expires: u64,
    seller: u64,
    category: u64,
}

/// A bid.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Offer {
    price: u64,
    time: u64,
}

impl Sale {
    pub fn of(event: Event) -> Option<Sale> {
        match event {
            Event::Auction(auction) => {
                let (begins, expires) = (auction.time, auction.expires);
                let open = Open { begins, expires, seller: auction.seller, category: auction.category };
                Some(Sale::Opens { auction: auction.id, open })
            }
            Event::Bid(bid) => {
                Some(Sale::Offer { auction: bid.auction, offer: Offer { price: bid.price, time: bid.time } })
            }
            Event::Person(_) => None,
        }
    }
}

/// What is known of an auction. Bids may come before it does.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    open: Option<Open>,
    best: Option<Offer>,
    early: Vec<Offer>,
    /// It is over: further bids are of no use.
    is_over: bool,
}

impl Known {
    fn bid(&mut self, open: &Open, offer: Offer) {
        let better = |best: &Offer| (offer.price, best.time) > (best.price, offer.time);
        if (open.begins..=open.expires).contains(&offer.time) && self.best.as_ref().is_none_or(better) {
            self.best = Some(offer);
        }
    }
}

/// An auction that has been won.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Won {
    pub expires: u64,
    pub auction: u64,
    pub seller: u64,
    pub category: u64,
    pub price: u64,
}

/// For how long it is known that an auction is over, in times of how long it was open: until most bids have come that
/// are too late for it. Those after that wait as if it were still to come, which costs more.
const REMEMBERED: u64 = 4;

/// Gives auctions that have been won, as they expire; at the end of the events, those that are open, too.
#[derive(Clone)]
pub struct Winners;

impl Process for Winners {
    type In = Sale;
    type Out = Won;
    type Key = u64;
    type State = Known;
    const NAME: &'static str = "winners";

    fn key(&self, (Sale::Opens { auction, .. } | Sale::Offer { auction, .. }): &Sale) -> u64 {
        *auction
    }

    fn record<E: Emit<Won>>(&self, at: &mut AtKey<'_, Self>, sale: Sale, _emit: &mut E) -> Result<()> {
        let known = at.state().get_or_insert_default();
        match (sale, known.open) {
            (Sale::Opens { open, .. }, _) => {
                known.open = Some(open);
                for offer in std::mem::take(&mut known.early) {
                    known.bid(&open, offer);
                }
                at.set_timer(open.expires as Timestamp + 1);
            }
            (Sale::Offer { .. }, Some(_)) if known.is_over => {}
            (Sale::Offer { offer, .. }, Some(open)) => known.bid(&open, offer),
            (Sale::Offer { offer, .. }, None) => {
                known.early.push(offer);
                // By then its auction is there, or has begun too late for it. There is one timer for all that wait.
                if known.early.len() == 1 {
                    at.set_timer(offer.time as Timestamp + 1);
                }
            }
        }
        Ok(())
    }

    fn timer<E: Emit<Won>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let auction = *at.key();
        let Some(known) = at.state() else { return Ok(()) };
        match known.open {
            Some(_) if known.is_over => *at.state() = None,
            Some(Open { begins, expires, seller, category }) if (expires as Timestamp) < time => {
                if let Some(Offer { price, .. }) = known.best {
                    emit.emit(Won { expires, auction, seller, category, price });
                }
                known.is_over = true;
                at.set_timer((expires + (expires - begins) * REMEMBERED) as Timestamp + 1);
            }
            Some(_) => {}
            None => {
                known.early.retain(|offer| offer.time as Timestamp >= time);
                match known.early.iter().map(|offer| offer.time).max() {
                    Some(last) => at.set_timer(last as Timestamp + 1),
                    None => *at.state() = None,
                }
            }
        }
        Ok(())
    }
}
