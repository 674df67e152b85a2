//! Finds functions and their lengths in masked source by counting braces.
//!
//! Good enough for a report: a brace in the signature (a const expression) would be taken for the
//! body.

use super::mask::mask;

#[derive(Debug, PartialEq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The line of the `fn`, counted from 1.
    pub(super) line: usize,
    /// From the line of the `fn` to the line of the closing brace.
    pub(super) lines: usize,
}

/// Lists the functions that have a body, nested ones too, in order of appearance.
pub(super) fn functions(source: &str) -> Vec<Function> {
    let code = mask(source);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn") {
        if let Some((name, end)) = function_at(&code, at) {
            let line = 1 + newlines(&code[..at]);
            let lines = 1 + newlines(&code[at..end]);
            found.push(Function {
                name: name.to_owned(),
                line,
                lines,
            });
        }
    }
    found
}

fn newlines(text: &str) -> usize {
    text.matches('\n').count()
}

/// The name of the function whose `fn` stands at `at`, and where its body ends.
fn function_at(code: &str, at: usize) -> Option<(&str, usize)> {
    let follows_word = code[..at].ends_with(|each: char| is_word(each) || each == '#');
    let after = &code[at + 2..];
    if follows_word || !after.starts_with(char::is_whitespace) {
        return None;
    }
    let named = after.trim_start();
    let named = named.strip_prefix("r#").unwrap_or(named);
    let name = &named[..named.find(|each| !is_word(each)).unwrap_or(named.len())];
    if name.is_empty() {
        return None;
    }
    let signature = code.len() - named.len();
    let body = signature + body_start(&code[signature..])?;
    Some((name, body + block_length(&code[body..])?))
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Where the body's brace stands; `None` for a declaration, which ends with a semicolon.
fn body_start(signature: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, each) in signature.char_indices() {
        match each {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn block_length(block: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, each) in block.char_indices() {
        match each {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::functions;

    fn check(source: &str, expected: &[(&str, usize, usize)]) {
        let found = functions(source);
        let found: Vec<_> = found
            .iter()
            .map(|each| (each.name.as_str(), each.line, each.lines))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_function_spans_its_signature_and_its_body() {
        check("fn a() {}\n", &[("a", 1, 1)]);
        check(
            "\npub async fn a(\n    b: u8,\n) -> u8 {\n    b\n}\n",
            &[("a", 2, 5)],
        );
    }

    #[test]
    fn braces_in_text_do_not_count() {
        check(
            "fn a() {\n    let b = \"}\"; // }\n    let c = '}';\n}\n",
            &[("a", 1, 4)],
        );
    }

    #[test]
    fn a_declaration_has_no_length() {
        check(
            "trait T {\n    fn a(&self) -> [u8; 2];\n    fn b(&self) {\n    }\n}",
            &[("b", 3, 2)],
        );
    }

    #[test]
    fn nested_functions_count_on_their_own() {
        check(
            "fn a() {\n    fn b() {\n    }\n}\n",
            &[("a", 1, 4), ("b", 2, 2)],
        );
    }

    #[test]
    fn types_and_names_that_look_alike_do_not_count() {
        check(
            "type F = fn(u8) -> u8; struct S { fnord: fn() }\nimpl FnOnce for S {}\n",
            &[],
        );
    }
}
