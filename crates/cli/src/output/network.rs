//! Requests that a cell made, in words.

use recto_protocol::egress::{Host, RequestEvent, Verdict, rules_for};

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

/// What was refused because no rule is about its host.
#[derive(Default)]
pub struct Unknown(Vec<RequestEvent>);

impl Unknown {
    /// Different hosts that are kept.
    const MOST: usize = 200;
    /// Flags that are named.
    const MOST_NAMED: usize = 5;

    /// Keeps a request if it is one of these.
    pub fn note(&mut self, request: &RequestEvent) {
        let Verdict::Refused { reason } = &request.verdict else {
            return;
        };
        let RequestEvent { host, port, .. } = request;
        let is_unknown = reason.starts_with("this cell has no network")
            || reason.starts_with(&format!("{host}:{port} is not allowed"));
        // An address is nothing that a person can judge.
        let is_named = host.parse().is_ok_and(|host| matches!(host, Host::Name(_)));
        let is_kept = self
            .0
            .iter()
            .any(|kept| kept.host == *host && kept.port == *port);
        if is_unknown && is_named && !is_kept && self.0.len() < Self::MOST {
            self.0.push(request.clone());
        }
    }

    /// The flags that would have let it through.
    pub fn hint(&self) -> Option<String> {
        let rules = rules_for(self.0.iter());
        let flags = rules.iter().map(|rule| match rule.strip_prefix("preset:") {
            Some(preset) => format!("--preset {preset}"),
            None => format!("--allow {rule}"),
        });
        let mut flags: Vec<String> = flags.collect();
        let more = flags.len().saturating_sub(Self::MOST_NAMED);
        flags.truncate(Self::MOST_NAMED);
        let more = match more {
            0 => String::new(),
            _ => format!(" (and {more} more)"),
        };
        let flags = flags.join(" ");
        (!flags.is_empty()).then(|| format!("hint: what was refused needs {flags}{more}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(host: &str, reason: &str) -> RequestEvent {
        RequestEvent {
            host: host.to_owned(),
            port: 443,
            method: "CONNECT".to_owned(),
            path: None,
            bytes_up: 0,
            bytes_down: 0,
            verdict: Verdict::Refused {
                reason: reason.to_owned(),
            },
            rule: None,
            failure: None,
        }
    }

    fn hint(events: &[RequestEvent]) -> Option<String> {
        let mut unknown = Unknown::default();
        events.iter().for_each(|event| unknown.note(event));
        unknown.hint()
    }

    #[test]
    fn the_hint_names_what_no_rule_is_about() {
        let none = "this cell has no network (policy none)";
        let events = [
            refused("pypi.org", none),
            refused(
                "a.example.com",
                "a.example.com:443 is not allowed; add the rule",
            ),
            refused("a.example.com", none),
        ];
        let expected = "hint: what was refused needs --preset python --allow a.example.com";
        assert_eq!(hint(&events).unwrap(), expected);
        // Rules are about these, or no rule is a good idea.
        let others = [
            refused(
                "b.example.com",
                "POST b.example.com/ is not allowed; add the rule",
            ),
            refused(
                "b.example.com",
                "b.example.com has the private address 10.0.0.1",
            ),
            refused("169.254.169.254", none),
            refused("", none),
        ];
        assert_eq!(hint(&others), None);
        let many: Vec<_> = (0..300)
            .map(|n| refused(&format!("h{n}.example.com"), none))
            .collect();
        assert!(hint(&many).unwrap().ends_with("(and 195 more)"));
    }
}
