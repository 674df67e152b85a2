//! Fills the ids of chunks into a reply: a script can't know them beforehand.

use std::borrow::Cow;

use recto_protocol::Item;

use super::event::Event;
use super::reply::{Outcome, Reply};

const OPEN: &str = "{{chunk ";
const CLOSE: &str = "}}";
/// What stands before a chunk's id in a tool's output.
const HEADING: &str = "Chunk ID: ";
const ID_LENGTH: usize = 6;

/// The reply with each `{{chunk N}}` replaced by the id in the N-th tool output of `input` that
/// names a chunk. One that has no such output stays as it is.
pub(super) fn fill(mut reply: Reply, input: &str) -> Reply {
    let Outcome::Answer(answer) = &mut reply.outcome else {
        return reply;
    };
    let wanted = |event: &Event| match event {
        Event::Item { item, .. } => item.raw().contains(OPEN),
        Event::Deltas { text, .. } => text.contains(OPEN),
        Event::Delay(_) => false,
    };
    if !answer.events.iter().any(wanted) {
        return reply;
    }
    let ids = chunk_ids(input);
    for event in &mut answer.events {
        match event {
            Event::Item { item, pieces } => {
                // Ids are plain hexadecimal digits, so the JSON stays JSON.
                if let Ok(filled) = Item::parse(&filled(item.raw(), &ids)) {
                    *item = filled;
                }
                for piece in pieces {
                    *piece = filled(piece, &ids).into_owned();
                }
            }
            Event::Deltas { text, .. } => *text = filled(text, &ids).into_owned(),
            Event::Delay(_) => {}
        }
    }
    reply
}

/// The chunk ids that the outputs in `input` name, in order.
fn chunk_ids(input: &str) -> Vec<&str> {
    input
        .split(HEADING)
        .skip(1)
        .filter_map(|rest| rest.get(..ID_LENGTH))
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .collect()
}

fn filled<'a>(text: &'a str, ids: &[&str]) -> Cow<'a, str> {
    if !text.contains(OPEN) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        out.push_str(before);
        let number = after.split_once(CLOSE);
        let id = number.and_then(|(n, _)| ids.get(n.trim().parse::<usize>().ok()?.checked_sub(1)?));
        match (id, number) {
            (Some(id), Some((_, tail))) => {
                out.push_str(id);
                rest = tail;
            }
            _ => {
                out.push_str(OPEN);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_outputs_in_order() {
        let ids =
            chunk_ids(r#"{"output":"Chunk ID: 0a1b2c\nWall"},{"output":"Chunk ID: ffffff\n"}"#);
        assert_eq!(ids, ["0a1b2c", "ffffff"]);
        assert_eq!(
            filled("【{{chunk 2}}†L1】{{chunk 1}}", &ids),
            "【ffffff†L1】0a1b2c"
        );
        assert_eq!(
            filled("{{chunk 3}} {{chunk x}} {{chunk ", &ids),
            "{{chunk 3}} {{chunk x}} {{chunk "
        );
    }
}
