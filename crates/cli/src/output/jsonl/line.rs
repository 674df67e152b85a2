//! An event as one line of text.

use serde_json::Value;

/// The event's JSON without any character that some reader takes for the end of a line (Node's
/// `readline` splits at U+2028, Python's `splitlines` at U+0085) or a terminal for a command. They
/// can only stand inside strings, where an escape means the same.
pub(super) fn one_line(event: &Value) -> String {
    let line = ordered(event, &["type"]);
    let is_risky = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    if !line.contains(is_risky) {
        return line;
    }
    let mut escaped = String::with_capacity(line.len() + 64);
    for character in line.chars() {
        if is_risky(character) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// The JSON of an object with these keys at its beginning, where people and simple programs look.
fn ordered(object: &Value, first: &[&str]) -> String {
    let Some(fields) = object.as_object() else {
        return object.to_string();
    };
    let leading = first.iter().filter_map(|&key| fields.get_key_value(key));
    let rest = fields
        .iter()
        .filter(|(key, _)| !first.contains(&key.as_str()));
    let parts: Vec<String> = leading
        .chain(rest)
        .map(|(key, value)| {
            let value = match key.as_str() {
                "item" => ordered(value, &["id", "type"]),
                _ => value.to_string(),
            };
            format!("{}:{value}", Value::from(key.as_str()))
        })
        .collect();
    format!("{{{}}}", parts.join(","))
}
