//! Requests that a cell made, in words.

use recto_protocol::egress::{RequestEvent, Verdict};

use super::safe::safe_line;

/// One request as a line of at most about `width` characters.
pub fn network_line(request: &RequestEvent, width: usize) -> String {
    let RequestEvent {
        host,
        port,
        method,
        path,
        ..
    } = request;
    let path = path.as_deref().unwrap_or_default();
    let what = match method.as_str() {
        "" => "something unreadable".to_owned(),
        _ => format!("{method} {host}:{port}{path}"),
    };
    let verdict = match &request.verdict {
        Verdict::Refused { reason } => format!("refused {what}: {reason}"),
        Verdict::Allowed => {
            let rule = request.rule.as_deref().unwrap_or("no rule");
            let failure = request.failure.as_ref();
            let failure = failure.map_or(String::new(), |failure| format!("; {failure}"));
            let (up, down) = (request.bytes_up, request.bytes_down);
            format!("allowed {what} ({up} bytes up, {down} down; {rule}{failure})")
        }
    };
    safe_line(&verdict, width)
}

/// Whether people should be told without having asked.
pub fn is_notable(request: &RequestEvent) -> bool {
    matches!(request.verdict, Verdict::Refused { .. })
}
