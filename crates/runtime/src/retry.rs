//! When to ask the model again.

use std::time::Duration;

use recto_protocol::ports::model::ModelError;

/// Tries after the first when the provider does not say otherwise.
pub const DEFAULT_RETRIES: u32 = 5;
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);
/// A provider that asks for more patience than this is not waited for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// How long to wait before asking again after the `failures`-th failure in a row (1, 2, …), or
/// none to give up. `jitter` is a random number in 0..1.
pub fn delay(error: &ModelError, failures: u32, max_retries: u32, jitter: f64) -> Option<Duration> {
    if !error.kind.is_transient() || failures > max_retries {
        return None;
    }
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    // Between nine tenths and eleven tenths, so that many clients do not come back together.
    let backoff = doubled.mul_f64(0.9 + jitter.clamp(0.0, 1.0) / 5.0);
    match error.retry_after {
        Some(asked) if asked > LONGEST_ASKED => None,
        Some(asked) => Some(asked.max(backoff)),
        None => Some(backoff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recto_protocol::ports::model::ErrorKind;

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
    fn transient_failures_back_off_and_end() {
        let waits: Vec<u128> = (1..=6)
            .filter_map(|n| delay(&error(ErrorKind::Server, None), n, 5, 0.5))
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200]);
    }

    #[test]
    fn what_the_provider_asks_for_is_honoured() {
        let limited = |asked| delay(&error(ErrorKind::RateLimit, asked), 1, 5, 0.5);
        assert_eq!(limited(Some(2)), Some(Duration::from_secs(2)));
        assert_eq!(limited(None), Some(Duration::from_millis(200)));
        assert_eq!(limited(Some(3600)), None);
    }

    #[test]
    fn refusals_are_never_repeated() {
        for kind in [ErrorKind::Auth, ErrorKind::NotFound, ErrorKind::Refused, ErrorKind::Script] {
            assert_eq!(delay(&error(kind, Some(1)), 1, 5, 0.5), None);
        }
    }
}
