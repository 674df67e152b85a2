//! Names of references that a cell made up: which ones are taken.
//!
//! Stricter than `git check-ref-format`: names are printed, become files, and are typed by people
//! whose git looks a short name up in five places.

/// Longest name that is taken, in bytes. Git's lock of a reference must still fit a file name.
const LENGTH: usize = 200;

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// Neither a branch nor a tag.
    #[error("it is neither a branch nor a tag")]
    Place,
    /// Longer than file names may be.
    #[error("its name is too long")]
    Length,
    /// Git takes no such names.
    #[error("its name is not one that git takes")]
    Form,
    /// A shell would act on it.
    #[error("its name holds characters that a shell acts on")]
    Shell,
    /// Some characters are not what they look like.
    #[error("its name holds characters that can't be seen")]
    Invisible,
    /// A command would take it for an option.
    #[error("a part of its name begins with a dash")]
    Dash,
    /// It would be taken for something else than a branch or a tag.
    #[error("its name is taken for something else, such as HEAD or an object")]
    Special,
}

/// Checks the full name of a branch or a tag, `refs/heads/…` or `refs/tags/…`.
pub(super) fn check(name: &str) -> Result<(), NameProblem> {
    let short = short(name).ok_or(NameProblem::Place)?;
    check_short(short)
}

/// The name as people type it; none of anything but branches and tags.
pub(super) fn short(name: &str) -> Option<&str> {
    name.strip_prefix("refs/heads/")
        .or_else(|| name.strip_prefix("refs/tags/"))
}

/// Checks what follows `refs/heads/`.
pub(super) fn check_short(short: &str) -> Result<(), NameProblem> {
    if short.len() > LENGTH {
        return Err(NameProblem::Length);
    }
    if short.chars().any(is_invisible) {
        return Err(NameProblem::Invisible);
    }
    if short.contains(['"', '\'', '`', '$', ';', '&', '|', '<', '>']) {
        return Err(NameProblem::Shell);
    }
    let taken_by_git = |char: char| " ~^:?*[\\".contains(char);
    if short.chars().any(taken_by_git) || short.contains("..") || short.contains("@{") {
        return Err(NameProblem::Form);
    }
    for part in short.split('/') {
        let is_sound = !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && !part.to_ascii_lowercase().ends_with(".lock");
        if !is_sound {
            return Err(NameProblem::Form);
        }
        if part.starts_with('-') {
            return Err(NameProblem::Dash);
        }
    }
    if is_special(short) {
        return Err(NameProblem::Special);
    }
    Ok(())
}

/// Whether git, or a person, would take a short name for something else.
fn is_special(short: &str) -> bool {
    let first = short.split('/').next().unwrap_or_default();
    let upper = short.to_ascii_uppercase();
    let is_hex = short.len() >= 40 && short.bytes().all(|byte| byte.is_ascii_hexdigit());
    short == "@"
        || upper.ends_with("HEAD") && !upper.contains('/')
        || upper.ends_with("/HEAD")
        || ["refs", "heads", "tags", "remotes"].contains(&first.to_ascii_lowercase().as_str())
        || is_hex
}

/// Control characters, and those that have no width or turn the direction of writing.
fn is_invisible(char: char) -> bool {
    char.is_control()
        || (char.is_whitespace() && char != ' ')
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_or_refused() {
        let check = |name: &str| check(name).err();
        for good in [
            "refs/heads/main",
            "refs/heads/feature/a-b_c.d",
            "refs/tags/v1.0.0+build",
            "refs/heads/überarbeitung",
            "refs/heads/headless",
            "refs/heads/recto/x",
            "refs/heads/fix/#12",
        ] {
            assert_eq!(check(good), None, "{good}");
        }
        let long = format!("refs/heads/{}", "a".repeat(201));
        use NameProblem::*;
        for (bad, problem) in [
            ("HEAD", Place),
            ("refs/recto/other/heads/main", Place),
            ("refs/remotes/origin/main", Place),
            ("refs/stash", Place),
            ("refs/headsx", Place),
            (long.as_str(), Length),
            ("refs/heads/", Form),
            ("refs/heads/a//b", Form),
            ("refs/heads/a/", Form),
            ("refs/heads/../../config", Form),
            ("refs/heads/.a", Form),
            ("refs/heads/a.lock", Form),
            ("refs/heads/a.lock/b", Form),
            ("refs/heads/a.", Form),
            ("refs/heads/a b", Form),
            ("refs/heads/a:b", Form),
            ("refs/heads/a@{1}", Form),
            ("refs/heads/a\\b", Form),
            ("refs/heads/$(id)", Shell),
            ("refs/heads/a\x1b[31m", Invisible),
            ("refs/heads/a\u{202e}b", Invisible),
            ("refs/heads/ma\u{200b}in", Invisible),
            ("refs/heads/-x", Dash),
            ("refs/heads/a/--upload-pack", Dash),
            ("refs/heads/HEAD", Special),
            ("refs/heads/fetch_head", Special),
            ("refs/heads/origin/HEAD", Special),
            ("refs/heads/@", Special),
            ("refs/heads/refs/heads/main", Special),
            ("refs/tags/heads/main", Special),
            (
                "refs/heads/0123456789012345678901234567890123456789",
                Special,
            ),
        ] {
            assert_eq!(check(bad), Some(problem), "{bad:?}");
        }
    }
}
