//! Sessions as files: real directories, real processes, real full disks.

mod common;
mod disk;
mod export;
mod fork;
mod list;
mod log;
mod measure;
mod memory;
mod processes;
