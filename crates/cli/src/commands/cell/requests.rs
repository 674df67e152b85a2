//! What a command asked for outside its cell.

use std::sync::{Mutex, PoisonError};

use recto_egress::Observer;
use recto_protocol::egress::{RequestEvent, minimal_rules};

use crate::output::tell;

/// Requests that are kept for learning.
const MOST: usize = 100_000;

/// Keeps what went out, for learning. Refusals are told by the command that runs.
#[derive(Default)]
pub struct Requests(Mutex<Vec<RequestEvent>>);

impl Observer for Requests {
    fn request(&self, event: RequestEvent) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = kept.len() < MOST;
        if has_room {
            kept.push(event);
        }
        has_room
    }
}

impl Requests {
    /// Tells the rules that would have been enough, after learning.
    pub fn tell(&self, learning: bool) {
        if !learning {
            return;
        }
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = minimal_rules(&kept);
        if rules.is_empty() {
            tell("recto: nothing outside was asked for\n");
            return;
        }
        let (presets, rules): (Vec<&str>, Vec<&str>) = rules
            .iter()
            .map(String::as_str)
            .partition(|rule| rule.starts_with("preset:"));
        let presets: Vec<&str> = presets
            .iter()
            .filter_map(|preset| preset.strip_prefix("preset:"))
            .collect();
        let mut text = "recto: this would have been enough:\nnetwork = \"allow\"\n".to_owned();
        for (key, values) in [("presets", presets), ("allow", rules)] {
            if !values.is_empty() {
                text.push_str(&format!("egress.{key} = {values:?}\n"));
            }
        }
        tell(&text);
    }
}
