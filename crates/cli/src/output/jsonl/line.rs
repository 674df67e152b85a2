//! An event as one line of text.

use serde_json::Value;

/// The event's JSON without any character that some reader takes for the end of a line (Node's
/// `readline` splits at U+2028, Python's `splitlines` at U+0085) or a terminal for a command. They
/// can only stand inside strings, where an escape means the same.
pub(super) fn one_line(event: &Value) -> String {
    let mut bytes = Vec::new();
    write_ordered(&mut bytes, event, &["type"]);
    // The writer makes UTF-8 of texts.
    let line = String::from_utf8(bytes).unwrap_or_default();
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

/// Writes the JSON of an object with these keys at its beginning, where people and simple programs
/// look. Straight into one buffer: the output of a command can be large, and more so in JSON.
fn write_ordered(out: &mut Vec<u8>, object: &Value, first: &[&str]) {
    let Some(fields) = object.as_object() else {
        return write(out, object);
    };
    let leading = first.iter().filter_map(|&key| fields.get_key_value(key));
    let rest = fields
        .iter()
        .filter(|(key, _)| !first.contains(&key.as_str()));
    for (at, (key, value)) in leading.chain(rest).enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        write(out, key);
        out.push(b':');
        match key.as_str() {
            "item" => write_ordered(out, value, &["id", "type"]),
            _ => write(out, value),
        }
    }
    if fields.is_empty() {
        out.push(b'{');
    }
    out.push(b'}');
}

fn write(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    // Neither the buffer nor plain JSON values can fail.
    let _ = serde_json::to_writer(out, value);
}
