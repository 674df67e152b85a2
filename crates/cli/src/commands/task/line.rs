//! Tasks and attempts as lines of text.

use recto_protocol::task::{Attempt, Standing, State, Task};

use super::super::sessions::time;
use crate::output::plural;
use crate::output::safe::safe_line;

/// A task on one line.
pub(super) fn task(task: &Task) -> String {
    format!(
        "{}  {}  {:<13}  {:<16}  {}\n",
        task.id,
        time(task.created_at),
        states(task),
        safe_line(&task.spec.repository, 30),
        safe_line(&task.title, 80),
    )
}

/// The states of a task's attempts in one word: the one they are all in, or how many have ended.
fn states(task: &Task) -> String {
    let mut states = task.attempts.iter().map(|one| one.state);
    let Some(first) = states.next() else {
        return "-".to_owned();
    };
    if states.all(|state| state == first) {
        return word(first).to_owned();
    }
    let ended = task.attempts.iter().filter(|one| one.state.has_ended());
    format!("{}/{} ended", ended.count(), task.attempts.len())
}

fn word(state: State) -> &'static str {
    match state {
        State::OutOfBudget => "out of budget",
        state => state.word(),
    }
}

/// An attempt on one line, with its reason on the next one.
pub(super) fn attempt(attempt: &Attempt) -> String {
    let Standing { turns, steps, .. } = attempt.standing;
    let mut line = format!(
        "{}  {:<13}  {turns} {}, {steps} {}{}{}{}\n",
        attempt.id,
        word(attempt.state),
        plural(turns as usize, "turn"),
        plural(steps as usize, "step"),
        changes(&attempt.standing),
        attempt
            .standing
            .cost
            .map_or(String::new(), |cost| format!(", {cost}")),
        duration(&attempt.standing),
    );
    if !attempt.reason.is_empty() {
        line.push_str(&format!("    {}\n", safe_line(&attempt.reason, 300)));
    }
    line
}

fn changes(standing: &Standing) -> String {
    if standing.commit.is_none() {
        return String::new();
    }
    format!(
        ", {} {} +{} -{}",
        standing.files,
        plural(standing.files as usize, "file"),
        standing.added,
        standing.removed
    )
}

fn duration(standing: &Standing) -> String {
    match (standing.started_at, standing.ended_at) {
        (Some(from), Some(to)) if to >= from => {
            let seconds = (to - from) / 1000;
            match (seconds / 60, seconds % 60) {
                (0, seconds) => format!(", {seconds} s"),
                (minutes, seconds) => format!(", {minutes} min {seconds} s"),
            }
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use recto_protocol::usage::Micros;

    use super::*;

    #[test]
    fn an_attempt_is_told_without_what_harms_a_terminal() {
        let attempt = Attempt {
            id: "aaaaaaaaaaaa.1".into(),
            state: State::Failed,
            reason: "the model\u{1b}[2J said\nno".into(),
            records: 9,
            updated_at: 0,
            standing: Standing {
                turns: 1,
                steps: 3,
                cost: Some(Micros(1_250_000)),
                started_at: Some(1_000),
                ended_at: Some(66_000),
                commit: Some("abc".into()),
                files: 2,
                added: 10,
                removed: 4,
                ..Standing::default()
            },
        };
        assert_eq!(
            super::attempt(&attempt),
            "aaaaaaaaaaaa.1  failed         1 turn, 3 steps, 2 files +10 -4, $1.25, 1 min 5 s\n    \
             the model said no\n"
        );
    }
}
