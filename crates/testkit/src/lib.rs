//! Black-box tests of the built program: a hermetic home, real repositories, and scripted models.
//!
//! The tests in `tests/` start the binary that `RECTO_BIN` names (`cargo xtask test` sets it), else
//! the one that a plain build leaves in the target directory. A part that isn't there fails the
//! test and says what to do.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a failed step fails the test"
)]

mod given;
mod home;
mod live;
mod proc;
mod pty;
mod random;
mod repository;
mod script;
mod server;
mod service;
mod tree;
mod user;

pub use given::given;
pub use home::{Home, Run};
pub use live::{Live, PATIENCE, eventually};
pub use proc::{cgroups_of, helpers_of, mounts_with, open_files_and_children, processes_with};
pub use pty::Pty;
pub use random::Random;
pub use repository::Repository;
pub use script::Script;
pub use server::{Request, Server};
pub use service::{Answer, Events, Service, has_ended};
pub use tree::{Tree, replace, tree};
pub use user::User;

use std::path::{Path, PathBuf};

/// The binary under test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("RECTO_BIN") {
        return PathBuf::from(path);
    }
    let root = workspace();
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir));
    let found = ["debug/recto", "release/recto"].map(|name| target.join(name));
    found
        .into_iter()
        .find(|path| path.is_file())
        .expect("no recto binary: run `cargo build -p recto` first, or set RECTO_BIN")
}

/// The root of the checkout.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .expect("the crate lies two levels below the root")
        .to_owned()
}

/// A directory that `cargo xtask test` fills with packages that tests work on.
pub fn test_environment(part: &str) -> PathBuf {
    let root = std::env::var_os("RECTO_TEST_ENV")
        .map_or_else(|| workspace().join("target/test-env"), PathBuf::from);
    let path = root.join(part);
    assert!(
        path.exists(),
        "{} is missing: `cargo xtask test` makes it",
        path.display()
    );
    path
}
