//! Tests of the configuration as callers see it.

mod generated;
mod hostile;
mod layers;
mod messages;
mod project;
mod show;
mod support;
