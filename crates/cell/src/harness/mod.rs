//! The outside: making cells and speaking the protocol with them.

pub(crate) mod conversation;
mod doors;
mod files;
mod gvisor;
mod handshake;
mod launcher;
mod limited;
mod process;
mod remedy;
mod remote;
mod sweeper;
mod undertaker;

pub(crate) use launcher::setup;
pub(crate) use remedy::forbidding as forbidding_setting;
pub(crate) use remote::Remote;

use std::sync::Arc;

use recto_protocol::ports::cell::{Cell, CellError};

use crate::spec::CellSpec;

/// Makes a cell with the specification's backend. It is ready for commands when this returns.
///
/// # Errors
/// [`CellError::Unavailable`] when this machine lacks what isolation needs (nothing is ever run
/// with less), [`CellError::Setup`] when a step failed for another reason.
pub async fn launch(spec: CellSpec) -> Result<Arc<dyn Cell>, CellError> {
    let birth = launcher::start(spec).await?;
    let remote = handshake::greet(birth).await?;
    Ok(Arc::new(remote))
}
