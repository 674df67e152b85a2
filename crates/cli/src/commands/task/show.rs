//! `recto task show`.

use recto_protocol::settings::Mode;
use recto_protocol::task::Task;

use super::super::sessions::time;
use super::{line, print, print_json};
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};
use crate::output::safe::{safe, safe_line};

/// Prints one task.
pub(super) async fn run(client: &Client, name: &str, json: bool) -> Result<u8, Failure> {
    let task = client.task(name).await?;
    match json {
        true => print_json(&task)?,
        false => print(&told(&task))?,
    }
    Ok(DONE)
}

fn told(task: &Task) -> String {
    let spec = &task.spec;
    let mode = match spec.mode {
        Mode::Code => "code",
        Mode::Ask => "ask",
    };
    let mut out = format!(
        "{}  {}\nhanded in {} on {}{}, {mode}\n",
        task.id,
        safe_line(&task.title, 200),
        time(task.created_at),
        safe_line(&spec.repository, 100),
        spec.reference
            .as_ref()
            .map_or(String::new(), |at| format!(" at {}", safe_line(at, 100))),
    );
    if !task.labels.is_empty() {
        out.push_str(&format!(
            "labels: {}\n",
            safe_line(&task.labels.join(", "), 300)
        ));
    }
    for check in &spec.checks {
        out.push_str(&format!("check: {}\n", safe_line(check, 300)));
    }
    if task.archived {
        out.push_str("archived\n");
    }
    out.push_str(&format!("\n{}\n\n", safe(spec.prompt.trim_end())));
    for attempt in &task.attempts {
        out.push_str(&line::attempt(attempt));
        if let Some(branch) = &attempt.standing.branch
            && attempt.standing.commit.is_some()
        {
            out.push_str(&format!("    branch {}\n", safe_line(branch, 200)));
        }
    }
    out
}
