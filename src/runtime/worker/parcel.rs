//! What travels between workers: batches, and the right to send another one.

use std::sync::Arc;

use bytes::Bytes;

use crate::runtime::connection::Returns;
use crate::runtime::window::Window;
use crate::workflow::Batch;

/// A batch on its way.
pub enum Parcel {
    /// From this process.
    Open(Box<dyn Batch>),
    /// From another node, as bytes.
    Sealed(Bytes),
}

/// What goes back to the sender of a batch when it has been processed.
pub enum Credit {
    /// To this process.
    Local(Arc<Window>),
    /// To another node.
    Remote(Arc<Returns>),
    /// It has gone back already.
    Given,
}

impl Credit {
    /// Lets the sender send another batch; gives it the emptied one, if it is here.
    pub fn give_back(&self, empty: Option<Box<dyn Batch>>) -> Option<Box<dyn Batch>> {
        match self {
            Credit::Local(window) => window.give_back(empty),
            Credit::Remote(returns) => {
                returns.give_back();
                return empty;
            }
            Credit::Given => return empty,
        }
        None
    }
}
