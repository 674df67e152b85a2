//! Attempts that are known to get out, each with its reason.
//!
//! They are printed with every run. An entry whose attempt is stopped in one of its rows fails the run: exceptions end
//! when their reason does. Each kind of cell has its own list.

use super::stage::User;
use super::subject::Mode;
use super::table::Row;

/// Attempts that get out, where, and why that is so today.
struct Known {
    ids: &'static [&'static str],
    modes: &'static [Mode],
    users: &'static [User],
    /// Whether it gets out every time; what depends on what else runs is stopped now and then.
    always: bool,
    reason: &'static str,
}

const EVERY: &[Mode] = &Mode::ALL;
const ANYONE: &[User] = &[User::Root, User::Ordinary];
const ORDINARY: &[User] = &[User::Ordinary];

/// In cells of the kernel's namespaces.
const NAMESPACES: &[Known] = &[
    Known {
        ids: &["tree_socket_late"],
        modes: EVERY,
        users: ANYONE,
        always: true,
        reason: "a socket that the host makes in the tree later can't be masked; Landlock can refuse it from its ABI 9",
    },
    Known {
        ids: &["user_descriptors_in_flight", "user_pipe_drain"],
        modes: EVERY,
        users: ORDINARY,
        always: false,
        reason: "an ordinary user's cells are the user to the kernel, which counts these by user and knows no limit for a part of them",
    },
];

/// In cells of gVisor, in Debian's build of December 2022.
const GVISOR: &[Known] = &[
    Known {
        ids: &["proc_parent_files"],
        modes: EVERY,
        users: ANYONE,
        always: true,
        reason: "its /proc shows everybody the memory map, environment and descriptors of every process; PID 1 can't be traced, its memory and its stream to the harness can't be opened, its environment is the home's path, and what else it holds are the tree and the commands' pipes",
    },
    Known {
        ids: &["limit_files"],
        modes: &[Mode::Service],
        users: &[User::Root],
        always: true,
        reason: "its tmpfs knows no limit of files; what they take is memory of the cell, which is limited",
    },
    Known {
        ids: &["limit_zombies"],
        modes: &[Mode::Service],
        users: &[User::Root],
        always: false,
        reason: "it makes processes so slowly that on a busy machine the attempt's time is up before the limit is met",
    },
    Known {
        ids: &["sys_knobs"],
        modes: EVERY,
        users: ORDINARY,
        always: true,
        reason: "commands are the only user there is, to whom PID 1's oom_score_adj belongs; it is a number that gVisor keeps and nobody reads",
    },
];

/// Prints the exceptions, and names what is wrong: failures that are none, and exceptions that hold no more.
pub(super) fn judge(backend: Option<&str>, rows: &[Row]) -> Vec<String> {
    judge_by(known_in(backend), rows)
}

fn known_in(backend: Option<&str>) -> &'static [Known] {
    match backend {
        Some("gvisor") => GVISOR,
        _ => NAMESPACES,
    }
}

impl Known {
    fn holds_in(&self, row: &Row) -> bool {
        self.modes.contains(&row.mode) && self.users.contains(&row.user)
    }
}

fn judge_by(known: &[Known], rows: &[Row]) -> Vec<String> {
    let mut problems = Vec::new();
    for row in rows {
        let place = format!("{} as {}", row.mode.name(), row.user.name());
        let here: Vec<&Known> = known.iter().filter(|it| it.holds_in(row)).collect();
        for verdict in row.failures() {
            let exception = here.iter().find(|it| it.ids.contains(&&*verdict.id));
            match exception {
                Some(it) => eprintln!(
                    "*** KNOWN to escape, {place}: {}: {}",
                    verdict.id, it.reason
                ),
                None => problems.push(format!(
                    "{}, {place}: {:?}: {}",
                    verdict.id, verdict.outcome, verdict.why
                )),
            }
        }
        let stopped = row.verdicts.iter().filter(|verdict| !verdict.has_failed());
        for verdict in stopped.filter(|verdict| {
            here.iter()
                .any(|it| it.always && it.ids.contains(&&*verdict.id))
        }) {
            problems.push(format!(
                "{} is named as known to escape, {place}, and is stopped: take it off the list",
                verdict.id
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::verdict::{Outcome, Verdict};
    use super::{ANYONE, EVERY, Known, Mode, Row, User, judge_by, known_in};

    const LIST: &[Known] = &[Known {
        ids: &["a"],
        modes: EVERY,
        users: ANYONE,
        always: true,
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
    fn what_one_kind_of_cell_lets_out_is_no_exception_in_another() {
        let ids = |backend| known_in(backend).iter().flat_map(|it| it.ids);
        assert!(ids(None).all(|id| ids(Some("gvisor")).all(|other| id != other)));
    }

    #[test]
    fn a_failure_is_a_problem_unless_it_is_known() {
        assert_eq!(judge_by(&[], &[row(Outcome::Escaped)]).len(), 1);
        assert_eq!(judge_by(LIST, &[row(Outcome::Escaped)]).len(), 0);
    }

    #[test]
    fn an_exception_that_is_stopped_is_a_problem() {
        let problems = judge_by(LIST, &[row(Outcome::Contained)]);
        assert!(problems[0].contains("take it off the list"), "{problems:?}");
    }
}
