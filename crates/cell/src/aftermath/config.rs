//! The plain part of a git configuration: settings that can't make git run anything.
//!
//! A list of what is allowed, line by line: whatever is not understood to be harmless goes. What
//! git reads as one long line (continuations, several settings after a header) is not understood.

/// Sections and the keys that stay. A star: the section has a name of its own.
const PLAIN: [(&str, &[&str]); 9] = [
    (
        "core",
        &[
            "repositoryformatversion",
            "filemode",
            "bare",
            "logallrefupdates",
            "ignorecase",
            "precomposeunicode",
            "symlinks",
            "autocrlf",
            "eol",
        ],
    ),
    ("extensions", &["objectformat", "refstorage"]),
    ("user", &["name", "email"]),
    ("init", &["defaultbranch"]),
    ("pull", &["rebase", "ff"]),
    ("commit", &["cleanup"]),
    ("branch *", &["remote", "merge", "rebase"]),
    ("remote *", &["url", "fetch"]),
    ("submodule *", &["url", "active"]),
];

/// The lines of a configuration that are plain, under the headers they stood under.
pub(super) fn plain_part(text: &str) -> String {
    let mut kept = String::new();
    let mut keys: &[&str] = &[];
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        let is_kept = if content.is_empty() {
            true
        } else if content.starts_with('[') {
            keys = header(content).unwrap_or_default();
            !keys.is_empty()
        } else {
            is_plain(content, keys)
        };
        if is_kept
            && line
                .chars()
                .all(|c| !c.is_control() || c == '\n' || c == '\t')
        {
            kept.push_str(line);
        } else if content.starts_with('[') {
            keys = &[];
        }
    }
    kept
}

/// The keys that may stand below a header; None for a header of another kind.
fn header(line: &str) -> Option<&'static [&'static str]> {
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    let (section, named) = match inner.split_once(' ') {
        None => (inner, ""),
        Some((section, name)) => {
            let name = name.strip_prefix('"')?.strip_suffix('"')?;
            if name.contains(['"', '\\', ']']) {
                return None;
            }
            (section, " *")
        }
    };
    let section = format!("{}{named}", section.to_ascii_lowercase());
    let (_, keys) = PLAIN.iter().find(|(known, _)| *known == section)?;
    Some(keys)
}

fn is_plain(line: &str, keys: &[&str]) -> bool {
    let Some((key, value)) = line.split_once('=') else {
        return false;
    };
    let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
    // A branch's remote may be an address itself.
    let is_address = key == "url" || key == "remote";
    // `ext::` and its like name programs; quotes and escapes could hide them.
    keys.contains(&key.as_str())
        && !value.ends_with('\\')
        && !(is_address && (value.contains("::") || value.contains(['"', '\\', ';', '#'])))
        && !(is_address && value.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(plain_part(text), expected, "{text}");
    }

    #[test]
    fn what_git_init_and_clone_write_stays() {
        let text = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
            [remote \"origin\"]\n\turl = https://example.org/x.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n\
            [branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n[user]\n\tname = A B\n\temail = a@b\n";
        check(text, text);
        check("", "");
    }

    #[test]
    fn what_runs_programs_goes() {
        check("[core]\n\tfsmonitor = x\n", "[core]\n");
        check(
            "[core]\n\tFsMonitor=x\n\tBARE=true\n",
            "[core]\n\tBARE=true\n",
        );
        check(
            "[alias]\n\tst = !x\n[user]\n\tname = a\n",
            "[user]\n\tname = a\n",
        );
        check(
            "[include]\npath = x\n[includeIf \"gitdir:x\"]\npath = x\n",
            "",
        );
        check("[filter \"x\"]\nclean = x\nurl = x\n", "");
        check("[core] fsmonitor = x\nbare = false\n", "");
        check("[core]bare = false\n", "");
        check(
            "[remote \"a\"]\nuploadpack = x\nvcs = x\n",
            "[remote \"a\"]\n",
        );
    }

    #[test]
    fn addresses_that_name_programs_go() {
        for value in ["ext::sh -c x", "\"ext:\"\":sh\"", "e\\x", "-x", "fd::1"] {
            check(
                &format!("[remote \"a\"]\nurl = {value}\n"),
                "[remote \"a\"]\n",
            );
            check(
                &format!("[branch \"a\"]\nremote = {value}\nmerge = x\n"),
                "[branch \"a\"]\nmerge = x\n",
            );
        }
    }

    #[test]
    fn lines_that_git_reads_differently_go() {
        // A continuation is part of the line before; both go, or what is left is plain by itself.
        check("[user]\nname = a\\\nfsmonitor = x\n", "[user]\n");
        check(
            "[user]\nname = a\\\n[core]\nfsmonitor = x\n",
            "[user]\n[core]\n",
        );
        check("[user]\nname = a\rfsmonitor\n", "[user]\n");
        check("\u{feff}[core]\nbare = true\n", "");
        check("[core]\u{b}\nbare = true\n", "");
        check("[branch \"a\\\"]\"]\nmerge = x\n", "");
        check("# comments go too\n", "");
    }
}
