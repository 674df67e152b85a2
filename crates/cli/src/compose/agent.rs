//! What an agent is made of, for every surface that runs one.

use recto_protocol::SessionId;
use recto_protocol::policy::Policy;
use recto_protocol::settings::Mode;
use recto_runtime::Limits;
use recto_runtime::opening::Opening;

use super::home::{Home, open_regular};
use super::place::{Place, text};
use super::settle::Settled;

/// Most bytes of a user's own instruction file.
const MOST_INSTRUCTIONS: u64 = 1 << 20;

/// Which agent it is.
pub struct Who {
    /// Its session, or its attempt.
    pub id: SessionId,
    /// What kind of work.
    pub mode: Mode,
    /// What its commands may do.
    pub policy: Policy,
    /// The commit that its work starts from.
    pub head: Option<String>,
}

/// What an agent begins with.
pub fn opening(home: &Home, settled: &Settled, place: &Place, who: Who) -> Opening {
    Opening {
        id: who.id,
        mode: who.mode,
        provider: settled.provider_key.clone(),
        model: settled.model.clone(),
        profile: settled.profile.clone(),
        reasoning: settled.reasoning.clone(),
        cwd: text(&place.cwd),
        repository: place.repository.as_ref().map(|_| text(place.root())),
        policy: who.policy,
        web_search: settled.web_search,
        checks: settled.checks.clone(),
        budget: settled.budget.clone(),
        base_commit: who.head,
        date: jiff::Zoned::now().strftime("%Y-%m-%d").to_string(),
        user_instructions: user_instructions(home),
        instruction_names: settled.instruction_names.clone(),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The user's own instruction file, from the program's directory.
fn user_instructions(home: &Home) -> Vec<recto_agent::agents_md::File> {
    use std::io::Read as _;
    ["AGENTS.override.md", "AGENTS.md"]
        .into_iter()
        .find_map(|name| {
            let path = home.file(name);
            let mut bytes = Vec::new();
            let file = open_regular(&path).ok()?;
            file.take(MOST_INSTRUCTIONS).read_to_end(&mut bytes).ok()?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (!text.trim().is_empty()).then(|| recto_agent::agents_md::File {
                path: format!("~/.recto/{name}"),
                text,
            })
        })
        .into_iter()
        .collect()
}

/// What its tools may use.
pub fn limits(settled: &Settled) -> Limits {
    let mut limits = Limits::default();
    if let Some(timeout) = settled.command_timeout {
        limits.command_timeout = timeout;
    }
    if let Some(timeout) = settled.check_timeout {
        limits.check_timeout = timeout;
    }
    limits
}

/// A random number in 0..1. The standard library's hash keys are random, which is enough here.
pub fn jitter() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new().hash_one(0u8);
    // 32 bits fit a double exactly.
    f64::from((random >> 32) as u32) / f64::from(u32::MAX)
}
