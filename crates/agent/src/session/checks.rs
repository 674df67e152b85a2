//! Which checks still have to be run before the turn may end.

/// The declared checks and what is known of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Checks {
    states: Vec<(String, State)>,
    /// Whether files may have changed since the session began.
    touched: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Nothing was changed yet, so nothing need be shown.
    Untouched,
    /// Something may have changed since it last ran.
    Stale,
    Passed,
    /// It failed with this output.
    Failed(String),
}

impl Checks {
    /// Sets the commands. What is known of those that stay is kept.
    pub(super) fn declare(&mut self, commands: &[String]) {
        let new = if self.touched {
            State::Stale
        } else {
            State::Untouched
        };
        let known = std::mem::take(&mut self.states);
        for command in commands.iter().map(|command| command.trim()) {
            if command.is_empty() || self.find(command).is_some() {
                continue;
            }
            let state = known
                .iter()
                .find(|(known, _)| known == command)
                .map(|(_, state)| state);
            self.states
                .push((command.to_owned(), state.unwrap_or(&new).clone()));
        }
    }

    fn find(&mut self, command: &str) -> Option<&mut State> {
        self.states
            .iter_mut()
            .find(|(known, _)| known == command)
            .map(|(_, state)| state)
    }

    /// Takes note that files may have changed, which makes stale what was known.
    pub(super) fn changed(&mut self) {
        self.touched = true;
        for (_, state) in &mut self.states {
            *state = State::Stale;
        }
    }

    /// Takes note of a check that passed. False when the command is no check.
    pub(super) fn passed(&mut self, command: &str) -> bool {
        self.find(command.trim())
            .map(|state| *state = State::Passed)
            .is_some()
    }

    /// Takes note of a check that failed.
    pub(super) fn failed(&mut self, command: &str, output: &str) {
        if let Some(state) = self.find(command.trim()) {
            *state = State::Failed(output.to_owned());
        }
    }

    /// The checks that have to be run now.
    pub(super) fn due(&self) -> Vec<String> {
        let due =
            |(command, state): &(String, State)| (*state == State::Stale).then(|| command.clone());
        self.states.iter().filter_map(due).collect()
    }

    /// The checks that nothing was changed for.
    pub(super) fn needless(&self) -> Vec<String> {
        let untouched = |(command, state): &(String, State)| {
            (*state == State::Untouched).then(|| command.clone())
        };
        self.states.iter().filter_map(untouched).collect()
    }

    /// The checks that failed since the last change, with their outputs.
    pub(super) fn failures(&self) -> Vec<(&str, &str)> {
        self.states
            .iter()
            .filter_map(|(command, state)| match state {
                State::Failed(output) => Some((command.as_str(), output.as_str())),
                State::Untouched | State::Stale | State::Passed => None,
            })
            .collect()
    }
}
