//! Cells: isolated places where commands run. This crate is the only one that starts processes
//! for a model.
//!
//! The harness side makes a cell ([`launch`]) and speaks the cell protocol with it; the inside is
//! the same binary, re-executed as `recto cell-init` ([`init_main`]). `docs/cell.md` describes the
//! protocol and what holds inside; `docs/design/0002-cell-launch.md` and `0006` say why.

mod aftermath;
mod cgroup;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod harness;
mod init;
mod layer;
mod plan;
mod probe;
pub mod relay;
mod scan;
mod seccomp;
mod spec;
mod stub;
mod walk;
mod wire;

pub use harness::launch;
pub use init::init_main;
pub use layer::{Layer, LayerError, LayerSize};
pub use plan::{
    Description, Protected, Protection, Shown, backend, describe, is_system_place, secrets_of,
};
pub use probe::{Finding, Status, probe};
pub use seccomp::{DENIED, Denied, MISSING};
pub use spec::{
    Backend, CELL_USER, CELL_USERS, CellSpec, Doors, FAKE_ROOT_USERS, GitView, Limits, MOST_DOORS,
    RootView, default_tool_dirs,
};
pub use wire::{Error as ProtocolError, VERSION as PROTOCOL_VERSION};
