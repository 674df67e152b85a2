//! Instruction files (AGENTS.md): which apply, how much of each is given, and the checks they name.
//!
//! The format is the one that AGENTS.md users know: plain Markdown, scoped to its directory. A
//! front matter block may list `checks`, the commands that the harness itself runs.

/// Most bytes of instruction files given together.
pub const BUDGET: usize = 32 << 10;

/// An instruction file with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path as the model is shown it.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// What of the files is given to the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Path and text, outermost first.
    pub given: Vec<(String, String)>,
    /// One sentence per file that was cut or left out.
    pub notices: Vec<String>,
}

/// Fits `files` (outermost first) into `budget` bytes. The most specific files are kept whole;
/// what does not fit is cut from the outermost inwards, and each cut is visible in the text.
pub fn select(files: &[File], budget: usize) -> Selection {
    let mut room = budget;
    let mut selection = Selection::default();
    for file in files
        .iter()
        .filter(|file| !file.text.trim().is_empty())
        .rev()
    {
        let whole = file.text.len();
        if whole <= room {
            room -= whole;
            selection.given.push((file.path.clone(), file.text.clone()));
            continue;
        }
        let kept = file.text.floor_char_boundary(room);
        room = 0;
        if kept == 0 {
            selection.notices.push(format!(
                "{} ({whole} bytes) was left out: instruction files are limited to {budget} bytes \
                 together, and more specific files come first.",
                file.path
            ));
            continue;
        }
        let text = format!(
            "{}\n[cut here: {} of {whole} bytes left out, read the file for the rest]",
            &file.text[..kept],
            whole - kept
        );
        selection.given.push((file.path.clone(), text));
        selection.notices.push(format!(
            "{} was cut to {kept} of {whole} bytes: instruction files are limited to {budget} \
             bytes together.",
            file.path
        ));
    }
    selection.given.reverse();
    selection.notices.reverse();
    selection
}

/// The commands that a file's front matter lists under `checks`, in order.
///
/// Both `checks: [a, b]` and a block list are read, with quotes and comments as YAML has them.
/// Anything else in the front matter is ignored.
pub fn checks(text: &str) -> Vec<String> {
    let Some(front) = front_matter(text) else {
        return Vec::new();
    };
    let mut lines = front.lines();
    let Some(rest) = lines.find_map(|line| line.strip_prefix("checks:")) else {
        return Vec::new();
    };
    let rest = rest.trim();
    let entries = if let Some(list) = rest.strip_prefix('[') {
        flow_entries(list.rfind(']').map_or(list, |end| &list[..end]))
    } else if !plain(rest).is_empty() {
        vec![rest]
    } else {
        lines
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map_while(|line| line.strip_prefix("- "))
            .collect()
    };
    entries
        .into_iter()
        .map(plain)
        .filter(|check| !check.is_empty())
        .collect()
}

/// What stands between the first line and the next that is `---`.
fn front_matter(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rest = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"))?;
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some(&rest[..end]);
        }
        end += line.len();
    }
    None
}

/// The entries of `a, "b, c"`.
fn flow_entries(list: &str) -> Vec<&str> {
    let mut quote = None;
    list.split(|c: char| {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            _ => {}
        }
        c == ',' && quote.is_none()
    })
    .collect()
}

/// A value without its quotes, or without the comment behind it.
fn plain(text: &str) -> String {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some((inner, _)) = text.strip_prefix(quote).and_then(|t| t.split_once(quote)) {
            return inner.to_owned();
        }
    }
    if text.starts_with('#') {
        return String::new();
    }
    text.split(" #")
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, size: usize) -> File {
        File {
            path: path.to_owned(),
            text: "x".repeat(size),
        }
    }

    #[test]
    fn the_most_specific_file_is_kept_whole() {
        let chosen = select(&[file("root", 30), file("mid", 30), file("deep", 60)], 80);
        assert_eq!(chosen.given[1].1.len(), 60);
        assert!(chosen.given[0].1.starts_with(&"x".repeat(20)));
        assert!(chosen.given[0].1.contains("cut here: 10 of 30 bytes"));
        assert_eq!(chosen.notices.len(), 2, "{:?}", chosen.notices);
        assert!(chosen.notices[0].starts_with("root (30 bytes) was left out"));
    }

    #[test]
    fn blank_files_are_not_given() {
        assert_eq!(
            select(
                &[File {
                    path: "a".into(),
                    text: " \n".into()
                }],
                80
            ),
            Selection::default()
        );
    }

    #[test]
    fn cuts_fall_on_character_boundaries() {
        let file = File {
            path: "a".into(),
            text: "é".repeat(10),
        };
        let chosen = select(&[file], 5);
        assert!(chosen.given[0].1.starts_with("éé\n"));
    }

    #[test]
    fn checks_are_read_from_front_matter() {
        let block =
            "---\nname: x\nchecks:\n  - cargo test\n  - \"npm run lint\"\nother: 1\n---\n# Hi";
        assert_eq!(checks(block), ["cargo test", "npm run lint"]);
        assert_eq!(checks("---\nchecks: [a b, 'c']\n---\n"), ["a b", "c"]);
        assert_eq!(checks("---\nchecks: make check\n---\n"), ["make check"]);
        assert!(checks("# No front matter\nchecks: [a]\n").is_empty());
        assert!(checks("---\nchecks:\n").is_empty());
    }
}
