//! Attempts that are known to get out, each with its reason.
//!
//! They are printed with every run. An entry whose attempt is stopped in one of its rows fails the run: exceptions end
//! when their reason does.

use super::stage::User;
use super::subject::Mode;
use super::table::Row;

/// An attempt that gets out, where, and why that is so today.
struct Known {
    id: &'static str,
    modes: &'static [Mode],
    users: &'static [User],
    reason: &'static str,
}

const EVERY: &[Mode] = &Mode::ALL;
const WRITING: &[Mode] = &[Mode::Workspace, Mode::Service];
const ANYONE: &[User] = &[User::Root, User::Ordinary];

const KNOWN: &[Known] = &[];

/// Prints the exceptions, and names what is wrong: failures that are none, and exceptions that hold no more.
pub(super) fn judge(rows: &[Row], filter: &str) -> Vec<String> {
    judge_by(KNOWN, rows, filter)
}

fn judge_by(known: &[Known], rows: &[Row], filter: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for row in rows {
        let place = format!("{} as {}", row.mode.name(), row.user.name());
        let holds = |it: &&Known| it.modes.contains(&row.mode) && it.users.contains(&row.user);
        for verdict in row.failures() {
            let exception = known.iter().filter(holds).find(|it| it.id == verdict.id);
            match exception {
                Some(it) => println!("*** KNOWN to escape, {place}: {}: {}", it.id, it.reason),
                None => problems.push(format!(
                    "{}, {place}: {:?}: {}",
                    verdict.id, verdict.outcome, verdict.why
                )),
            }
        }
        for it in known
            .iter()
            .filter(holds)
            .filter(|it| it.id.contains(filter))
        {
            let was_run = row.verdicts.iter().any(|verdict| verdict.id == it.id);
            if was_run && !row.failures().any(|verdict| verdict.id == it.id) {
                problems.push(format!(
                    "{} is named as known to escape, {place}, and is stopped: take it off the list",
                    it.id
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::verdict::{Outcome, Verdict};
    use super::{ANYONE, EVERY, Known, Mode, Row, User, judge_by};

    const LIST: &[Known] = &[Known {
        id: "a",
        modes: EVERY,
        users: ANYONE,
        reason: "r",
    }];

    fn row(outcome: Outcome) -> Row {
        Row {
            mode: Mode::Workspace,
            user: User::Root,
            verdicts: vec![Verdict {
                id: "a".to_owned(),
                is_own: true,
                tags: Vec::new(),
                outcome,
                is_required: true,
                seconds: 0.0,
                why: String::new(),
            }],
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_failure_is_a_problem_unless_it_is_known() {
        assert_eq!(judge_by(&[], &[row(Outcome::Escaped)], "").len(), 1);
        assert_eq!(judge_by(LIST, &[row(Outcome::Escaped)], "").len(), 0);
    }

    #[test]
    fn an_exception_that_is_stopped_is_a_problem() {
        let problems = judge_by(LIST, &[row(Outcome::Contained)], "");
        assert!(problems[0].contains("take it off the list"), "{problems:?}");
    }
}
