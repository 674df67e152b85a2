//! When to send a failed request again: a pure policy, beside the port because the caller of
//! [`Model::respond`](super::Model::respond) is the one that retries.

use std::time::Duration;

use super::ModelError;

/// The wait before the first retry; each further one doubles it.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait that the policy itself asks for.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest wait that a provider may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// Why a failed request is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    /// The same request would fail again.
    #[error("trying again would not help")]
    Permanent,
    /// All tries were made.
    #[error("gave up after {tries} {}", if *tries == 1 { "try" } else { "tries" })]
    TriesUsedUp {
        /// Requests sent, the first one included.
        tries: u32,
    },
    /// The provider asked for a wait that is longer than anyone should sit through unasked.
    #[error("the provider asks to wait {} s, more than the {} s this program waits by itself",
        asked.as_secs(), LONGEST_ASKED.as_secs())]
    WaitTooLong {
        /// The wait asked for.
        asked: Duration,
    },
}

/// How long to wait before sending the request again, or why not to.
///
/// `attempt` counts the retries already made (0 after the first failure). `jitter` is a random
/// number from 0 to 1 and spreads the wait by ±10 %; a wait asked for by the provider is a
/// minimum and only spreads upwards.
///
/// # Errors
/// [`GiveUp`] says why there is no further try.
pub fn decide(
    error: &ModelError,
    attempt: u32,
    max_retries: u32,
    jitter: f64,
) -> Result<Duration, GiveUp> {
    if !error.kind.is_transient() {
        return Err(GiveUp::Permanent);
    }
    if attempt >= max_retries {
        return Err(GiveUp::TriesUsedUp {
            tries: attempt.saturating_add(1),
        });
    }
    let jitter = jitter.clamp(0.0, 1.0);
    let own = backoff(attempt).mul_f64(0.9 + 0.2 * jitter);
    match error.retry_after {
        Some(asked) if asked > LONGEST_ASKED => Err(GiveUp::WaitTooLong { asked }),
        Some(asked) => Ok(own.max(asked.mul_f64(1.0 + 0.1 * jitter))),
        None => Ok(own),
    }
}

/// [`decide`] without the reason.
pub fn delay(error: &ModelError, attempt: u32, max_retries: u32, jitter: f64) -> Option<Duration> {
    decide(error, attempt, max_retries, jitter).ok()
}

fn backoff(attempt: u32) -> Duration {
    FIRST
        .saturating_mul(2_u32.saturating_pow(attempt))
        .min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::model::ErrorKind;

    fn error(kind: ErrorKind, retry_after: Option<u64>) -> ModelError {
        ModelError {
            kind,
            message: String::new(),
            status: None,
            code: None,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u128> = (0..10)
            .filter_map(|n| delay(&error(ErrorKind::Server, None), n, 10, 0.5))
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(
            waits,
            [
                200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000
            ]
        );
    }

    #[test]
    fn jitter_spreads_by_a_tenth() {
        let wait = |jitter| delay(&error(ErrorKind::Server, None), 0, 1, jitter);
        assert_eq!(wait(0.0), Some(Duration::from_millis(180)));
        assert_eq!(wait(1.0), Some(Duration::from_millis(220)));
    }

    #[test]
    fn the_providers_wait_is_a_minimum_up_to_ten_minutes() {
        let limited = |secs| decide(&error(ErrorKind::RateLimit, Some(secs)), 0, 4, 0.0);
        assert_eq!(limited(2), Ok(Duration::from_secs(2)));
        assert_eq!(limited(0), Ok(Duration::from_millis(180)));
        assert_eq!(limited(600), Ok(Duration::from_secs(600)));
        let asked = Duration::from_secs(601);
        assert_eq!(limited(601), Err(GiveUp::WaitTooLong { asked }));
    }

    #[test]
    fn only_transient_kinds_are_tried_again_and_not_for_ever() {
        for kind in [
            ErrorKind::Auth,
            ErrorKind::NotFound,
            ErrorKind::Refused,
            ErrorKind::ContextLength,
            ErrorKind::TooLarge,
            ErrorKind::Script,
        ] {
            assert_eq!(
                decide(&error(kind, Some(1)), 0, 9, 0.5),
                Err(GiveUp::Permanent)
            );
        }
        let used_up = decide(&error(ErrorKind::RateLimit, None), 4, 4, 0.5);
        assert_eq!(used_up, Err(GiveUp::TriesUsedUp { tries: 5 }));
        assert!(delay(&error(ErrorKind::RateLimit, None), 3, 4, 0.5).is_some());
    }
}
