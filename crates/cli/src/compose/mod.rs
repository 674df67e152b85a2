//! Puts a session's parts together: the only code that names adapters.

pub mod agent;
pub mod cell;
pub mod cells;
pub mod client;
pub mod embedded;
pub mod files;
pub mod git;
pub mod home;
pub mod import;
pub mod model;
pub mod outside;
pub mod place;
pub mod prompt;
pub mod server;
pub mod service;
pub mod settle;
pub mod view;
