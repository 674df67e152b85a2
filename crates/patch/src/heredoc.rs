//! Recognises a shell command that is nothing but a patch.

/// A patch found in a shell command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShellPatch<'a> {
    /// The directory of a leading `cd DIR &&`.
    pub workdir: Option<&'a str>,
    /// The text between the heredoc's tags.
    pub patch: &'a str,
}

/// Returns the patch if `command` is only `apply_patch <<'TAG' … TAG`, with an optional
/// `cd DIR &&` before it.
///
/// The tag may be any word, quoted or not. The text is taken literally also after an unquoted
/// tag: a shell would expand `$` in it, which no author of a patch means. Anything more involved,
/// such as a second command, a pipe or a variable in `DIR`, is left to the shell.
pub fn shell_patch(command: &str) -> Option<ShellPatch<'_>> {
    let (workdir, rest) = split_cd(command.trim_start())?;
    let rest = ["apply_patch", "applypatch"]
        .iter()
        .find_map(|name| rest.strip_prefix(name))?;
    let rest = blank(rest)?.strip_prefix("<<")?;
    let (opening, body) = rest.split_once('\n')?;
    let tag = tag(opening.trim())?;
    Some(ShellPatch {
        workdir,
        patch: until_tag(body, tag)?,
    })
}

fn split_cd(command: &str) -> Option<(Option<&str>, &str)> {
    let Some(rest) = command.strip_prefix("cd").and_then(blank) else {
        return Some((None, command));
    };
    let (dir, rest) = word(rest)?;
    let rest = rest.trim_start_matches([' ', '\t']).strip_prefix("&&")?;
    Some((Some(dir), rest.trim_start()))
}

/// Strips blanks, of which there must be one.
fn blank(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches([' ', '\t']);
    (rest.len() < text.len() || rest.starts_with("<<")).then_some(rest)
}

/// Takes one word without anything in it that a shell would act on.
fn word(text: &str) -> Option<(&str, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (inside, rest) = quoted.split_once(quote)?;
            let plain = quote == '\'' || !inside.contains(['$', '`', '\\', '!']);
            return (plain && !inside.is_empty()).then_some((inside, rest));
        }
    }
    let end = text.find(|c: char| !is_plain(c))?;
    let (found, rest) = text.split_at(end);
    let ends_here = rest.starts_with([' ', '\t', '&']);
    // A dash would be an option or, alone, the previous directory.
    (ends_here && !found.is_empty() && !found.starts_with('-')).then_some((found, rest))
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "/._-+:@%,=".contains(c)
}

fn tag(opening: &str) -> Option<&str> {
    let unquoted = ['\'', '"']
        .iter()
        .find_map(|&quote| opening.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(opening);
    let plain = unquoted
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_');
    (plain && !unquoted.is_empty()).then_some(unquoted)
}

/// Returns what comes before the line that is the tag; only blanks may follow it.
fn until_tag<'a>(body: &'a str, tag: &str) -> Option<&'a str> {
    let mut start = 0;
    for line in body.split_inclusive('\n') {
        if line.trim_end_matches(['\n', '\r']) == tag {
            let after = &body[start + line.len()..];
            return after.trim().is_empty().then(|| &body[..start]);
        }
        start += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "*** Begin Patch\n*** Add File: a\n+$x\n*** End Patch\n";

    fn check(command: &str, expected: Option<Option<&str>>) {
        let command = command.replace("BODY", BODY);
        let found = shell_patch(&command);
        let expected = expected.map(|workdir| ShellPatch {
            workdir,
            patch: BODY,
        });
        assert_eq!(found, expected, "{command}");
    }

    #[test]
    fn plain_heredocs() {
        check("apply_patch <<'EOF'\nBODYEOF\n", Some(None));
        check("apply_patch <<EOF\nBODYEOF", Some(None));
        check("applypatch <<\"PATCH\"\nBODYPATCH\n\n", Some(None));
        check("  apply_patch<< 'END_1'\r\nBODYEND_1\r\n", Some(None));
    }

    #[test]
    fn with_a_directory() {
        check(
            "cd sub/dir && apply_patch <<'EOF'\nBODYEOF\n",
            Some(Some("sub/dir")),
        );
        check(
            "cd 'my dir' && apply_patch <<'EOF'\nBODYEOF\n",
            Some(Some("my dir")),
        );
        check(
            "cd \"my dir\"&&apply_patch <<'EOF'\nBODYEOF\n",
            Some(Some("my dir")),
        );
    }

    #[test]
    fn anything_else_is_for_the_shell() {
        for command in [
            "apply_patch",
            "apply_patch <<'EOF'\nBODY",
            "apply_patch <<'EOF'\nBODYEOF\necho done\n",
            "apply_patch <<'EOF' | tee log\nBODYEOF\n",
            "apply_patch <<'EOF' && make\nBODYEOF\n",
            "apply_patch <<-EOF\nBODYEOF\n",
            "apply_patch <<'EOF\nBODYEOF\n",
            "apply_patch patch.txt <<'EOF'\nBODYEOF\n",
            "apply_patchx <<'EOF'\nBODYEOF\n",
            "echo x; apply_patch <<'EOF'\nBODYEOF\n",
            "cd a; apply_patch <<'EOF'\nBODYEOF\n",
            "cd $HOME && apply_patch <<'EOF'\nBODYEOF\n",
            "cd ~ && apply_patch <<'EOF'\nBODYEOF\n",
            "cd - && apply_patch <<'EOF'\nBODYEOF\n",
            "cd \"$D\" && apply_patch <<'EOF'\nBODYEOF\n",
            "cd a && cd b && apply_patch <<'EOF'\nBODYEOF\n",
            "",
            "cd",
        ] {
            check(command, None);
        }
    }
}
