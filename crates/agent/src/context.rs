//! The context items at the start of a session, and those appended when something changes.

use recto_protocol::Item;
use recto_protocol::policy::{Access, Network, Policy};

/// What the model is told about where it works.
#[derive(Clone, Debug)]
pub struct Environment<'a> {
    /// The working directory, absolute.
    pub cwd: &'a str,
    /// The repository's root, absolute; none where there is no repository.
    pub repository: Option<&'a str>,
    /// Today, as `2026-11-20`.
    pub date: &'a str,
    /// What commands may do.
    pub policy: &'a Policy,
    /// Commands that must pass before work counts as done.
    pub checks: &'a [String],
}

/// The item that describes the environment.
pub fn environment(environment: &Environment<'_>) -> Item {
    let mut text = String::from("<environment>\n");
    text.push_str(&format!("working directory: {}\n", environment.cwd));
    match environment.repository {
        Some(root) => text.push_str(&format!("git repository: {root}\n")),
        None => text.push_str("git repository: none\n"),
    }
    text.push_str(&format!("shell: bash\ndate: {}\n", environment.date));
    text.push_str(&policy_lines(environment.policy));
    if !environment.checks.is_empty() {
        text.push_str("required checks, run from the repository's root:\n");
        for check in environment.checks {
            text.push_str(&format!("- {check}\n"));
        }
    }
    text.push_str("</environment>");
    Item::message("user", &text)
}

/// The item that says that the policy changed.
pub fn policy_changed(policy: &Policy) -> Item {
    let text = format!(
        "<environment>\nFrom here on:\n{}</environment>",
        policy_lines(policy)
    );
    Item::message("user", &text)
}

fn policy_lines(policy: &Policy) -> String {
    let writable = match policy.access {
        Access::ReadOnly => "/tmp only".to_owned(),
        Access::WorkspaceWrite => {
            let mut places = vec!["the work tree", "/tmp"];
            places.extend(policy.writable.iter().map(String::as_str));
            places.join(", ")
        }
        Access::DangerFullAccess => "everything (no isolation)".to_owned(),
    };
    let network = match (policy.access, policy.network) {
        (Access::DangerFullAccess, _) | (_, Network::Open) => "open",
        (_, Network::Allow) => "allow-list, through a proxy",
        (_, Network::None) => "none (loopback only)",
    };
    format!("writable: {writable}\nnetwork: {network}\n")
}

/// The item that carries instruction files.
pub fn instruction_files(files: &[(String, String)], replaces: bool) -> Item {
    let mut text = String::new();
    if replaces {
        text.push_str("These files changed; what follows replaces their earlier text.\n\n");
    }
    for (path, contents) in files {
        text.push_str(&format!(
            "<instructions file=\"{path}\">\n{}\n</instructions>\n",
            contents.trim_end()
        ));
    }
    Item::message("user", text.trim_end())
}

#[cfg(test)]
mod tests {
    use recto_protocol::View;

    use super::*;

    fn text(item: &Item) -> String {
        match item.view() {
            View::Message { role, text, .. } => format!("[{role}]\n{text}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_environment_says_where_and_what_is_allowed() {
        let checks = ["make test".to_owned()];
        let item = environment(&Environment {
            cwd: "/w/sub",
            repository: Some("/w"),
            date: "2026-11-20",
            policy: &Policy {
                writable: vec!["/cache".into()],
                ..Policy::default()
            },
            checks: &checks,
        });
        insta::assert_snapshot!(text(&item), @r"
        [user]
        <environment>
        working directory: /w/sub
        git repository: /w
        shell: bash
        date: 2026-11-20
        writable: the work tree, /tmp, /cache
        network: none (loopback only)
        required checks, run from the repository's root:
        - make test
        </environment>
        ");
        let full = Policy {
            access: Access::DangerFullAccess,
            ..Policy::default()
        };
        insta::assert_snapshot!(text(&policy_changed(&full)), @r"
        [user]
        <environment>
        From here on:
        writable: everything (no isolation)
        network: open
        </environment>
        ");
    }

    #[test]
    fn instruction_files_come_with_their_paths() {
        let files = [
            ("AGENTS.md".to_owned(), "Be kind.\n".to_owned()),
            ("sub/AGENTS.md".to_owned(), "Be exact.\n\n".to_owned()),
        ];
        insta::assert_snapshot!(text(&instruction_files(&files, true)), @r#"
        [user]
        These files changed; what follows replaces their earlier text.

        <instructions file="AGENTS.md">
        Be kind.
        </instructions>
        <instructions file="sub/AGENTS.md">
        Be exact.
        </instructions>
        "#);
    }
}
