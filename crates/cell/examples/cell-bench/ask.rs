//! What can be asked for, and the answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One measurement to take, or one state to enter.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Where the cells that follow work.
    Tree { path: PathBuf },
    /// Starts a program on the host and waits for its end; it must succeed.
    Spawn { argv: Vec<String> },
    /// Makes a cell and closes it.
    Cell,
    /// Makes a cell, runs `true` in it, and closes it.
    Once,
    /// Runs `true` so often in a running cell, and as often on the host, in turns.
    Commands { count: usize },
    /// Kills everything in a cell of so many processes; and closes another such cell.
    Kill { processes: usize },
    /// Makes so many cells and keeps them.
    Hold { cells: usize },
    /// Closes what is kept.
    Release,
    /// Makes and closes so many cells in a row, each with a command.
    Row { cells: usize },
    /// Times commands in one cell while another one is quiet, and while it runs this.
    Neighbours { load: String, count: usize },
}

/// The answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Done {},
    Failed {
        error: String,
    },
    /// The time of the whole.
    Took {
        ms: f64,
    },
    /// Until a cell was ready, and from there until it was gone.
    Lived {
        ready: f64,
        closed: f64,
    },
    /// Commands inside and outside.
    Commands {
        inside: Vec<f64>,
        outside: Vec<f64>,
    },
    /// `kill_all`, and `close`, of a cell that had so many processes at least.
    Killed {
        kill_all: f64,
        close: f64,
    },
    /// Commands in a cell beside a quiet one and beside a busy one; the last, on the host beside
    /// the busy one.
    Neighbours {
        quiet: Vec<f64>,
        loaded: Vec<f64>,
        outside_quiet: Vec<f64>,
        outside_loaded: Vec<f64>,
    },
}
