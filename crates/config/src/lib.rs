//! Configuration: texts and values in, resolved settings out.
//!
//! This crate reads no file and no variable. The caller reads them and passes their texts in an
//! [`Input`]; [`resolve`] lays the layers over each other and answers with a [`Resolved`]: the
//! finished [`Config`], where each value came from, and what the user should be told.
//!
//! Layers, weakest first: built-in defaults, the user's file, the selected profile of it, the
//! project's file (only when the user trusts the project, and it may only narrow), environment
//! variables, flags, `-c key=value` pairs.
//!
//! Everything there is to know about a key (type, other spellings, what a project may do with it,
//! whether its value is secret) stands in one row of [`known_keys`]. Reading, error messages, the
//! JSON schema, `docs/config.md` and `recto config show` all follow that table.

mod assemble;
mod entry;
mod input;
mod keys;
mod known;
mod layer;
mod pair;
mod path;
mod problem;
mod project;
mod read;
mod reference;
mod resolve;
mod schema;
mod settings;
mod show;
mod suggest;
mod value;

pub use crate::input::{Flags, Input, Project, Text, VARIABLES, Variable};
pub use crate::keys::{Alias, InProject, Key, Scale, known_keys};
pub use crate::layer::{Layer, Origin};
pub use crate::problem::{Error, Mistake, Place, Problem};
pub use crate::reference::reference;
pub use crate::resolve::{Resolved, resolve};
pub use crate::schema::schema;
pub use crate::settings::{
    Backend, Cell, Config, Credential, Egress, Env, Tools, WebSearch, WorkspaceWrite,
};
pub use crate::value::{Kind, ListOf};

/// Most bytes of one file, one variable or one pair.
pub const MAX_BYTES: usize = 1 << 20;
