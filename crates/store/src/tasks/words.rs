//! Texts as they are searched.

/// Most words that a search looks for.
const MOST_WORDS: usize = 32;
/// Longest part of a word that a search looks for, in characters. SQLite bounds patterns.
const LONGEST_WORD: usize = 200;

/// A text without the difference of letter cases. Each character is folded by itself, so that the
/// folded part of a text is a part of the folded text. Both databases would fold differently.
pub(super) fn fold(text: &str) -> String {
    text.chars()
        // Upwards first, so that letters with two small forms, as the sigma has, become one.
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// The patterns that a folded text must fit for a search to find it.
pub(super) fn patterns(search: &str) -> Vec<String> {
    search
        .split_whitespace()
        .take(MOST_WORDS)
        .map(|word| {
            let part: String = word.chars().take(LONGEST_WORD).collect();
            format!("%{}%", escape(&fold(&part)))
        })
        .collect()
}

/// A text as a part of a pattern that means itself, with `\` as the escape character.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{fold, patterns};

    #[test]
    fn cases_are_folded_in_every_script() {
        for (one, other) in [
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("Ärger", "äRGER"),
            ("ЖУК", "жук"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
    }

    #[test]
    fn what_means_something_in_patterns_is_escaped() {
        assert_eq!(
            patterns(" 100% A_b \\n "),
            ["%100\\%%", "%a\\_b%", "%\\\\n%"]
        );
        assert_eq!(patterns(" "), [""; 0]);
    }
}
