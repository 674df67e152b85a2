//! How often one asks.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;

use axum::http::StatusCode;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use recto_protocol::TokenId;

use crate::problem::Failure;

/// Wrong tokens per second that one address may show.
const WRONG: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// Wrong tokens at once.
const WRONG_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Keys that are remembered before those that do not matter any more are forgotten.
const REMEMBERED: usize = 4096;

/// How often each token may ask, and each address without one.
pub(crate) struct Limits {
    tokens: DefaultKeyedRateLimiter<TokenId>,
    strangers: DefaultKeyedRateLimiter<Option<IpAddr>>,
}

impl Limits {
    /// Limits of `per_second` requests a token, and four times as many at once.
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        let at_once = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(3));
        let tokens = Quota::per_second(per_second).allow_burst(at_once);
        let strangers = Quota::per_second(WRONG).allow_burst(WRONG_AT_ONCE);
        Self {
            tokens: RateLimiter::keyed(tokens),
            strangers: RateLimiter::keyed(strangers),
        }
    }

    /// Counts a request of a token.
    pub(crate) fn token(&self, id: &TokenId) -> Result<(), Failure> {
        check(&self.tokens, id)
    }

    /// Counts a request that showed no good token.
    pub(crate) fn stranger(&self, address: Option<IpAddr>) -> Result<(), Failure> {
        check(&self.strangers, &address)
    }
}

fn check<K: Hash + Eq + Clone>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
) -> Result<(), Failure> {
    if limiter.len() > REMEMBERED {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|not_until| {
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        let detail = "these are too many requests; wait a little";
        Failure::new(StatusCode::TOO_MANY_REQUESTS, "too-many", detail)
            .retry_after(wait.as_secs() + 1)
    })
}
