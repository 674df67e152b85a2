//! A cell that another process holds: the cell protocol once more, over a unix socket.
//!
//! The holder [`serve`]s its cell to any number of connections; whoever [`connect`]s gets a
//! [`Cell`](recto_protocol::ports::cell::Cell) like any other. Commands have ids per connection, and
//! closing the handle, or dying, only ends the connection.

mod client;
mod command;
mod detach;
mod serve;

pub use client::connect;
pub use detach::detach;
pub use serve::{Ended, Served, serve};

/// What the other side of a connection does, as the port's words say it.
mod words {
    use recto_protocol::ports::cell::{CellError, Limit, TtySize};

    use crate::wire::{LimitName, Resize};

    pub(super) fn limit(limit: Limit) -> LimitName {
        match limit {
            Limit::Memory => LimitName::Memory,
            Limit::Processes => LimitName::Processes,
            Limit::Disk => LimitName::Disk,
            Limit::Files => LimitName::Files,
            Limit::Output => LimitName::Output,
            Limit::Time => LimitName::Time,
            Limit::Network => LimitName::Network,
        }
    }

    pub(super) fn size(resize: Resize) -> TtySize {
        TtySize {
            rows: resize.rows,
            cols: resize.cols,
        }
    }

    /// Why a command was not started, without what the client knows already.
    pub(super) fn refusal(error: CellError) -> String {
        match error {
            CellError::Spawn { reason, .. } => reason,
            other => other.to_string(),
        }
    }
}
