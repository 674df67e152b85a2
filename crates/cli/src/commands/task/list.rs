//! `recto task list`.

use recto_protocol::task::{State, Task};
use serde::{Deserialize, Serialize};

use super::{line, print, print_json};
use crate::args::{ListTasksArgs, StateWord};
use crate::compose::client::Client;
use crate::exit::{DONE, Failure};

/// Most tasks of one page.
const PAGE: usize = 200;

#[derive(Serialize, Deserialize)]
struct Page {
    tasks: Vec<Task>,
    next: Option<String>,
}

/// Prints the list.
pub(super) async fn run(client: &Client, args: ListTasksArgs, json: bool) -> Result<u8, Failure> {
    let mut page = Page {
        tasks: Vec::new(),
        next: None,
    };
    loop {
        let left = args.limit.saturating_sub(page.tasks.len());
        if left == 0 {
            break;
        }
        let query = query(&args, left.min(PAGE), page.next.take());
        let more: Page = client.get(&["tasks"], &query).await?;
        page.tasks.extend(more.tasks);
        page.next = more.next;
        if page.next.is_none() {
            break;
        }
    }
    if json {
        print_json(&page)?;
        return Ok(DONE);
    }
    let mut out: String = page.tasks.iter().map(line::task).collect();
    if out.is_empty() {
        out = "no tasks\n".to_owned();
    }
    print(&out)?;
    Ok(DONE)
}

fn query(
    args: &ListTasksArgs,
    limit: usize,
    cursor: Option<String>,
) -> Vec<(&'static str, String)> {
    let state = args.state.map(|state| state_of(state).word().to_owned());
    let texts = [
        ("state", state),
        ("repository", args.repo.clone()),
        ("label", args.label.clone()),
        ("search", args.search.clone()),
        ("cursor", cursor),
    ];
    let given = texts
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    given
        .chain([
            ("archived", args.archived.to_string()),
            ("limit", limit.to_string()),
        ])
        .collect()
}

fn state_of(word: StateWord) -> State {
    match word {
        StateWord::Queued => State::Queued,
        StateWord::Preparing => State::Preparing,
        StateWord::Running => State::Running,
        StateWord::Awaiting => State::Awaiting,
        StateWord::Done => State::Done,
        StateWord::Failed => State::Failed,
        StateWord::Cancelled => State::Cancelled,
        StateWord::OutOfBudget => State::OutOfBudget,
    }
}
