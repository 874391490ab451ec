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

/// What is known of an auction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Known {
    /// Bids may come before it does; each auction does come, but for the few that are next when the events end.
    Awaited(Vec<Offer>),
    Open {
        open: Open,
        best: Option<Offer>,
    },
    /// Further bids are of no use.
    Over,
}

impl Open {
    fn bid(&self, best: &mut Option<Offer>, offer: Offer) {
        let better = |best: &Offer| (offer.price, best.time) > (best.price, offer.time);
        if (self.begins..=self.expires).contains(&offer.time) && best.as_ref().is_none_or(better) {
            *best = Some(offer);
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

/// Gives auctions that have been won, as they expire; at the end of the events, those that are open, too.
#[derive(Clone)]
pub struct Winners {
    /// For how many milliseconds after its begin there are bids for an auction: as long it is known that it is over.
    /// What came later would wait as if the auction were still to come.
    pub interest: u64,
}

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
        let known = at.state().get_or_insert_with(|| Known::Awaited(Vec::new()));
        match (known, sale) {
            (Known::Awaited(early), Sale::Offer { offer, .. }) => {
                early.push(offer);
            }
            (Known::Awaited(early), Sale::Opens { open, .. }) => {
                let mut best = None;
                early.drain(..).for_each(|offer| open.bid(&mut best, offer));
                *at.state() = Some(Known::Open { open, best });
                at.set_timer(open.expires as Timestamp + 1);
            }
            (Known::Open { open, best }, Sale::Offer { offer, .. }) => open.bid(best, offer),
            (Known::Open { .. }, Sale::Opens { .. }) | (Known::Over, _) => {}
        }
        Ok(())
    }

    fn timer<E: Emit<Won>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let auction = *at.key();
        match at.state() {
            Some(Known::Open { open, best }) if (open.expires as Timestamp) < time => {
                let Open { begins, expires, seller, category } = *open;
                if let Some(Offer { price, .. }) = *best {
                    emit.emit(Won { expires, auction, seller, category, price });
                }
                let last = (begins + self.interest) as Timestamp;
                *at.state() = (time <= last).then_some(Known::Over);
                if time <= last {
                    at.set_timer(last + 1);
                }
            }
            Some(Known::Over) => *at.state() = None,
            Some(Known::Open { .. } | Known::Awaited(_)) | None => {}
        }
        Ok(())
    }
}
