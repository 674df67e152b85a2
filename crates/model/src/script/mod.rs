//! A model that answers from a file: for tests, demonstrations, benchmarks and offline work.
//!
//! The file's format is described in `docs/script.md`. A script answers in two ways that give the
//! same events, because both make the same bytes and the client's own decoder reads them:
//! [`Scripted`] in process, and [`server::Server`] over HTTP. [`Recorder`] writes such files.

mod chunks;
mod event;
mod expect;
mod file;
mod position;
mod recorder;
mod reply;
mod scripted;
pub mod server;
mod wire;
mod writer;

use std::path::Path;

pub use file::{OpenError, ParseError};
pub use recorder::Recorder;
pub use scripted::Scripted;
pub use wire::Dress;

/// The error code by which a script says that a request is not what it expects.
pub(crate) const MISMATCH: &str = "script_mismatch";

/// A script that was read and checked.
#[derive(Clone, Debug)]
pub struct Script {
    /// Replies given in order, by conversation; the first is the one without a condition.
    lanes: Vec<position::Lane>,
    /// Replies given whenever their text is in the last item.
    matched: Vec<reply::Reply>,
}

impl Script {
    /// Reads a script from a file.
    ///
    /// # Errors
    /// [`OpenError`] with the file's name and the place of the mistake.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let text = std::fs::read_to_string(path).map_err(|source| OpenError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|source| OpenError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Reads a script from text: JSON lines when it starts with a brace, TOML otherwise.
    ///
    /// # Errors
    /// [`ParseError`] with the place of the mistake.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut script = Self {
            lanes: vec![position::Lane::default()],
            matched: Vec::new(),
        };
        for line in file::lines(text)? {
            script.add(line)?;
        }
        Ok(script)
    }

    fn add(&mut self, line: file::ReplyLine) -> Result<(), ParseError> {
        if line.on_match.is_some() {
            let name = format!("m{}", self.matched.len() + 1);
            self.matched.push(reply::Reply::new(name, line)?);
            return Ok(());
        }
        let lane = self.lane(line.conversation.as_deref());
        let prefix = if lane == 0 {
            "r".to_owned()
        } else {
            format!("a{lane}r")
        };
        for _ in 0..line.times.unwrap_or(1) {
            let name = format!("{prefix}{}", self.lanes[lane].len() + 1);
            self.lanes[lane].push(reply::Reply::new(name, line.clone())?);
        }
        Ok(())
    }

    fn lane(&mut self, condition: Option<&str>) -> usize {
        if let Some(at) = self
            .lanes
            .iter()
            .position(|lane| lane.condition() == condition)
        {
            return at;
        }
        self.lanes.push(position::Lane::new(condition));
        self.lanes.len() - 1
    }
}

#[cfg(test)]
mod tests;
