//! Persons with what they sell: two streams in one, joined by the person, whichever comes first.

use serde::{Deserialize, Serialize};
use skitter::prelude::*;
use skitter::workflow::{Emit, Keyed, Operation, React};

use super::events::Event;

const CATEGORY: u64 = 10;
const STATES: [&str; 3] = ["OR", "ID", "CA"];

/// What is known of a seller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Seller {
    Is { id: u64, name: String, city: String, state: String },
    Sells { id: u64, auction: u64 },
}

impl Seller {
    /// What an event says of one who may be asked for.
    pub fn of(event: Event) -> Option<Seller> {
        match event {
            Event::Person(person) if STATES.contains(&person.state.as_str()) => {
                Some(Seller::Is { id: person.id, name: person.name, city: person.city, state: person.state })
            }
            Event::Auction(auction) if auction.category == CATEGORY => {
                Some(Seller::Sells { id: auction.seller, auction: auction.id })
            }
            _ => None,
        }
    }
}

/// A person, and auctions that came before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    person: Option<(String, String, String)>,
    waiting: Vec<u64>,
}

/// Gives name, city and state of the seller with each auction.
#[derive(Clone)]
pub struct NewAuctions;

impl Operation for NewAuctions {
    type In = Seller;
    type Out = (String, String, String, u64);
    const NAME: &'static str = "new auctions";
}

impl Keyed for NewAuctions {
    type Key = u64;

    fn key(&self, (Seller::Is { id, .. } | Seller::Sells { id, .. }): &Seller) -> u64 {
        *id
    }
}

impl React for NewAuctions {
    type State = Known;

    fn init(&self) -> Known {
        Known::default()
    }

    fn react<E: Emit<Self::Out>>(&self, known: &mut Known, seller: Seller, emit: &mut E) -> Result<()> {
        match seller {
            Seller::Is { name, city, state, .. } => {
                for auction in known.waiting.drain(..) {
                    emit.emit((name.clone(), city.clone(), state.clone(), auction));
                }
                known.person = Some((name, city, state));
            }
            Seller::Sells { auction, .. } => match &known.person {
                Some((name, city, state)) => emit.emit((name.clone(), city.clone(), state.clone(), auction)),
                None => known.waiting.push(auction),
            },
        }
        Ok(())
    }
}
