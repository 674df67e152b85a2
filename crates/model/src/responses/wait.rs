//! How long a provider asks to wait: headers, and words in a message.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The wait that the headers ask for.
///
/// A date is read against the answer's own `Date`, so that a wrong clock here does no harm; `now`
/// stands in where there is none. What cannot be read counts as not sent.
pub(super) fn from_headers(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|t| t.parse::<f64>().ok()) {
        return seconds(ms / 1000.0);
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Ok(number) = value.parse::<f64>() {
        return seconds(number);
    }
    let until = http_date(value)?;
    let now = text(DATE.as_str()).and_then(http_date).unwrap_or(now);
    // A date that has passed means: now.
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// The wait in a message such as `Please try again in 1m2.5s.`
pub(super) fn from_message(message: &str) -> Option<Duration> {
    const WORDS: &str = "try again in ";
    let lower = message.to_ascii_lowercase();
    let mut rest = lower[lower.find(WORDS)? + WORDS.len()..].trim_start();
    let mut total = None;
    while let Some((amount, unit, after)) = amount(rest) {
        total = Some(total.unwrap_or(0.0) + amount * unit);
        rest = after;
    }
    seconds(total?)
}

/// Splits `1.5m…` into the number, its unit in seconds, and what follows.
fn amount(text: &str) -> Option<(f64, f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number = text[..end].parse().ok()?;
    let rest = text[end..].trim_start();
    let word_end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let unit = match &rest[..word_end] {
        "ms" | "milliseconds" => 0.001,
        "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        _ => return None,
    };
    Some((number, unit, &rest[word_end..]))
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn check(headers: &[(&'static str, &'static str)], expected: Option<u64>) {
        let headers = headers
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect();
        let now = http_date("Fri, 20 Nov 2026 10:00:00 GMT").unwrap();
        assert_eq!(
            from_headers(&headers, now),
            expected.map(Duration::from_millis),
            "{headers:?}"
        );
    }

    #[test]
    fn headers_are_read_in_all_their_forms() {
        check(&[], None);
        check(&[("retry-after", "2")], Some(2000));
        check(&[("retry-after", "1.5")], Some(1500));
        check(
            &[("retry-after", "7"), ("retry-after-ms", "250")],
            Some(250),
        );
        check(
            &[("retry-after", "Fri, 20 Nov 2026 10:00:07 GMT")],
            Some(7000),
        );
        check(&[("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT")], Some(0));
        let late = ("date", "Fri, 20 Nov 2026 10:00:05 GMT");
        check(
            &[("retry-after", "Fri, 20 Nov 2026 10:00:07 GMT"), late],
            Some(2000),
        );
    }

    #[test]
    fn what_cannot_be_read_counts_as_not_sent() {
        for garbage in ["soon", "-3", "", "NaN", "inf", "1e400", "Fri, 99 Nov 2026"] {
            check(&[("retry-after", garbage)], None);
        }
        check(
            &[("retry-after", "2"), ("retry-after-ms", "garbage")],
            Some(2000),
        );
    }

    #[test]
    fn words_are_read_too() {
        let wait = |text| from_message(text).map(|wait| wait.as_millis());
        assert_eq!(
            wait("Rate limit reached. Please try again in 1.2s. Visit"),
            Some(1200)
        );
        assert_eq!(wait("try again in 350ms."), Some(350));
        assert_eq!(wait("Try again in 1h2m3s"), Some(3_723_000));
        assert_eq!(wait("try again in 20 seconds."), Some(20_000));
        assert_eq!(wait("try again in a while"), None);
        assert_eq!(wait("try again in 5"), None);
        assert_eq!(wait("no"), None);
    }
}
