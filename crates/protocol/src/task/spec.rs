//! What users hand in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{Budget, Mode};

/// Most attempts that a task begins with.
pub const MOST_ATTEMPTS: u32 = 4;
/// Longest prompt, in bytes.
const LONGEST_PROMPT: usize = 1 << 20;
/// Most labels and checks.
const MOST_WORDS: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// The repository's name.
    pub repository: String,
    /// The branch, tag or commit that the work starts from; none takes the repository's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Whether the repository may be changed.
    #[serde(default)]
    pub mode: Mode,
    /// What to do, in the user's words.
    pub prompt: String,
    /// How many attempts are made, each for itself: 1 to [`MOST_ATTEMPTS`].
    #[serde(default = "one")]
    pub attempts: u32,
    /// The environment's name; none takes the repository's own, or the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The provider's key in the server's configuration; none takes the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The provider's name of the model; none takes the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard the model thinks, in the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Where to stop; what is none here is as configured.
    #[serde(default)]
    pub budget: Budget,
    /// Commands that must pass before work counts as done, besides those of the environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
}

fn one() -> u32 {
    1
}

/// Why a task can't be handed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Problem {
    /// The field that is wrong.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl TaskSpec {
    /// Checks all that can be said without looking anywhere.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn check(&self) -> Result<(), Problem> {
        let problem = |field, reason: String| Err(Problem { field, reason });
        if self.prompt.trim().is_empty() {
            return problem("prompt", "is empty".into());
        }
        if self.prompt.len() > LONGEST_PROMPT {
            return problem("prompt", format!("is over {LONGEST_PROMPT} bytes long"));
        }
        if self.prompt.contains('\0') {
            return problem("prompt", "holds a NUL character".into());
        }
        if !(1..=MOST_ATTEMPTS).contains(&self.attempts) {
            let reason = format!("is {}, not 1 to {MOST_ATTEMPTS}", self.attempts);
            return problem("attempts", reason);
        }
        if self.checks.len() > MOST_WORDS {
            return problem("checks", format!("are more than {MOST_WORDS}"));
        }
        let words = [
            ("repository", Some(&self.repository)),
            ("reference", self.reference.as_ref()),
            ("environment", self.environment.as_ref()),
            ("provider", self.provider.as_ref()),
            ("model", self.model.as_ref()),
            ("effort", self.effort.as_ref()),
        ];
        for (field, word) in words {
            let Some(word) = word else { continue };
            if word.is_empty() || word.len() > 1000 || word.chars().any(char::is_control) {
                return problem(
                    field,
                    "is empty, too long or holds control characters".into(),
                );
            }
        }
        Ok(())
    }
}
