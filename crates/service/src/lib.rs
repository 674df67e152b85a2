//! The service: many tasks at once, durable.
//!
//! [`Service`] is what surfaces see: the use cases, each a few calls of the store. [`Worker`] runs
//! attempts: it claims them, makes their places, drives their agents and settles their work.
//! [`Reaper`] gives the attempts of dead workers back to the queue. All state is in the
//! [`TaskStore`](recto_protocol::ports::tasks::TaskStore); what is held in memory besides are hints,
//! which may be lost.

mod error;
mod evidence;
mod feed;
mod hints;
mod log;
mod service;
mod standing;
mod tokens;
mod worker;
mod workplace;

pub use error::ServiceError;
pub use feed::{Event, Live};
pub use hints::{Hints, Listener};
pub use service::{Outside, Page, Service};
pub use tokens::Tokens;
pub use worker::{Pace, Reaper, Worker, WorkerError};
pub use workplace::{Difference, Job, Settled, Workplace, WorkplaceError, Workplaces};
