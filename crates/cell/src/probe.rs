//! What `doctor` tells about cells on this machine.

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// How it is.
    pub status: Status,
    /// The details, as a sentence.
    pub detail: String,
}

/// How a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Good,
    /// Worth knowing; cells work.
    Note,
    /// Cells don't work.
    Bad,
}

/// Looks.
pub fn probe() -> Vec<Finding> {
    Vec::new()
}
