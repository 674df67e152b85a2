//! Checks on the text of single files: module docs, leftovers, paths of somebody's machine.

use super::mask::mask;

/// Macros that mark unfinished work.
const LEFTOVERS: &[&str] = &["dbg!", "todo!"];

/// Names that stand for anybody in examples and tests.
const ANYBODY: &[&str] = &[
    "agent", "alice", "bob", "dev", "me", "name", "recto", "somebody", "u", "user", "you",
];

/// Says what is wrong with a Rust file.
pub(super) fn rust_problems(name: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !source.starts_with("//!") {
        found.push(format!("{name} does not start with a module doc (`//!`)"));
    }
    for (number, line) in mask(source).lines().enumerate() {
        for leftover in LEFTOVERS.iter().filter(|leftover| has_word(line, leftover)) {
            found.push(format!("{name}:{} holds `{leftover}`", number + 1));
        }
    }
    found
}

/// Says where a file names the home directory of a real person or machine.
pub(super) fn home_problems(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(number, line)| {
            let path = home_path(line)?;
            Some(format!(
                "{name}:{} names a home directory: {path}",
                number + 1
            ))
        })
        .collect()
}

fn home_path(line: &str) -> Option<&str> {
    let of_people = ["/home/", "/Users/"].into_iter().find_map(|prefix| {
        line.match_indices(prefix)
            .map(|(at, _)| &line[at..])
            .find_map(|path| {
                let owner = first_word(&path[prefix.len()..]);
                let is_real = !owner.is_empty() && !ANYBODY.contains(&owner);
                is_real.then(|| &path[..prefix.len() + owner.len()])
            })
    });
    // Tests of the sandbox speak of `/root` as such; only traces of a build are somebody's.
    let of_tools = [concat!("/root", "/.cargo"), concat!("/root", "/.rustup")]
        .into_iter()
        .find_map(|path| line.find(path).map(|at| &line[at..at + path.len()]));
    of_people.or(of_tools)
}

fn first_word(text: &str) -> &str {
    let end = text.find(|each: char| !(each.is_alphanumeric() || "_-.".contains(each)));
    &text[..end.unwrap_or(text.len())]
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(|each: char| each.is_alphanumeric() || each == '_'))
}

#[cfg(test)]
mod tests {
    use super::{home_problems, rust_problems};

    #[test]
    fn a_module_doc_comes_first() {
        assert_eq!(rust_problems("a.rs", "//! A.\n"), Vec::<String>::new());
        let expected = ["a.rs does not start with a module doc (`//!`)"];
        assert_eq!(rust_problems("a.rs", "use std::fs;\n//! A.\n"), expected);
        assert_eq!(rust_problems("a.rs", "\n//! A.\n"), expected);
        assert_eq!(rust_problems("a.rs", ""), expected);
    }

    #[test]
    fn leftovers_count_in_code_only() {
        let source = "//! A.\nfn a() {\n    dbg!(1); // todo!()\n    let b = \"todo!\";\n}\n";
        assert_eq!(rust_problems("a.rs", source), ["a.rs:3 holds `dbg!`"]);
        assert_eq!(
            rust_problems("a.rs", "//! A.\nnot_todo!()"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_home_directory_is_reported_unless_it_is_anybodys() {
        let mary = concat!("/home", "/mary/recto");
        let expected = format!(
            "a.md:2 names a home directory: {}",
            concat!("/home", "/mary")
        );
        assert_eq!(home_problems("a.md", &format!("see\n`{mary}`")), [expected]);
        assert_eq!(home_problems("a.md", concat!("/Users", "/mary")).len(), 1);
        assert_eq!(
            home_problems("a.md", concat!("/root", "/.cargo/registry")).len(),
            1
        );
        assert!(home_problems("a.md", "/home/user/x /home/ /home/<name> /root/x").is_empty());
    }
}
