//! Tests of streams, split at every byte.

use std::fmt::Write as _;

use super::*;
use recto_protocol::ports::model::FinishReason;

const TEXT: &str = include_str!("testdata/text.sse");
const TOOLS: &str = include_str!("testdata/tools.sse");
const INCOMPLETE: &str = include_str!("testdata/incomplete.sse");

fn limits() -> Limits {
    Limits {
        event_bytes: 1 << 20,
        total_bytes: 4 << 20,
        idle: Duration::from_secs(1),
    }
}

fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Outcome> {
    let mut reply = Reply::new(limits());
    for piece in pieces {
        reply.push(piece);
    }
    reply.end();
    std::iter::from_fn(|| reply.pop()).collect()
}

fn whole(text: &str) -> Vec<Outcome> {
    decode([text.as_bytes()])
}

/// One line per event, for snapshots.
fn lines(events: &[Outcome]) -> String {
    let mut lines = String::new();
    for event in events {
        let _ = match event {
            Ok(ModelEvent::Started) => writeln!(lines, "started"),
            Ok(ModelEvent::Delta(d)) => writeln!(lines, "delta {:?} {:?}", d.kind, d.text),
            Ok(ModelEvent::Item(item)) => writeln!(lines, "item {}", item.raw()),
            Ok(ModelEvent::Finished(f)) => {
                let usage = f.usage.map(|u| {
                    let (c, w) = (u.cached_input_tokens, u.cache_write_input_tokens);
                    let (i, o, r) = (u.input_tokens, u.output_tokens, u.reasoning_output_tokens);
                    format!(" in {i} (cached {c}, written {w}), out {o} (reasoning {r})")
                });
                let usage = usage.unwrap_or_default();
                writeln!(
                    lines,
                    "finished {:?} {} {:?}{usage}",
                    f.reason, f.response_id, f.end_turn
                )
            }
            Ok(ModelEvent::Unknown(raw)) => writeln!(lines, "unknown {raw}"),
            Err(error) => writeln!(lines, "error {:?} {}", error.kind, error.message),
        };
    }
    lines
}

#[test]
fn a_text_reply_is_read() {
    insta::assert_snapshot!(lines(&whole(TEXT)), @r#"
    started
    delta Text "Grüße, "
    delta Text "🦀!"
    item {"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Grüße, 🦀!"}]}
    finished Complete resp_1 None in 100 (cached 60, written 30), out 20 (reasoning 7)
    "#);
}

#[test]
fn a_reply_with_tools_is_read() {
    insta::assert_snapshot!(lines(&whole(TOOLS)), @r#"
    started
    delta Reasoning "**Looking** around"
    delta Reasoning "\n\n"
    delta Reasoning "More"
    item {"id":"rs_1","type":"reasoning","encrypted_content":"gAAA==","summary":[{"type":"summary_text","text":"**Looking** around"},{"type":"summary_text","text":"More"}]}
    delta ToolInput "{\"cmd\":"
    delta ToolInput "\"ls -l\"}"
    item {"id":"fc_1","type":"function_call","status":"completed","arguments":"{\"cmd\":\"ls -l\"}","call_id":"call_1","name":"exec_command"}
    delta ToolInput "*** Begin Patch\n"
    item {"id":"ctc_1","type":"custom_tool_call","status":"completed","call_id":"call_2","input":"*** Begin Patch\n*** End Patch","name":"apply_patch"}
    finished Complete resp_2 Some(false) in 10 (cached 0, written 0), out 2 (reasoning 0)
    "#);
}

#[test]
fn an_incomplete_reply_is_read() {
    insta::assert_snapshot!(lines(&whole(INCOMPLETE)), @r#"
    started
    delta Text "I can"
    unknown {"type":"response.brand_new","sequence_number":2,"delta":{"x":1}}
    item {"type":"image_generation_call","id":"ig_1","result":"AAAA"}
    finished OutputLimit resp_3 None in 100 (cached 60, written 30), out 20 (reasoning 7)
    "#);
}

#[test]
fn splits_and_looks_change_nothing() {
    for text in [TEXT, TOOLS, INCOMPLETE] {
        let expected = whole(text);
        let dressed = format!("\u{feff}: hi\n\n{}", text.replace("\n\n", "\n\n: ping\n\n"));
        let looks = [
            text.to_owned(),
            text.replace('\n', "\r\n"),
            text.replace('\n', "\r"),
            dressed.replace('\n', "\r\n"),
            dressed,
        ];
        for text in &looks {
            let bytes = text.as_bytes();
            for at in 0..=bytes.len() {
                assert!(
                    decode([&bytes[..at], &bytes[at..]]) == expected,
                    "split at {at}: {text}"
                );
            }
            assert!(decode(bytes.chunks(1)) == expected, "byte by byte: {text}");
        }
    }
}

#[test]
fn event_lines_are_not_needed() {
    for text in [TEXT, TOOLS, INCOMPLETE] {
        let bare: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("event:"))
            .collect();
        assert_eq!(whole(&(bare.join("\n") + "\n\n")), whole(text));
    }
}

#[test]
fn a_cut_at_any_byte_keeps_what_came_before_it() {
    for text in [TEXT, TOOLS, INCOMPLETE] {
        let expected = whole(text);
        // The last event is whole without its line breaks.
        for at in 0..text.trim_end().len() {
            let mut reply = Reply::new(limits());
            reply.push(&text.as_bytes()[..at]);
            reply.end();
            let mut events: Vec<Outcome> = std::iter::from_fn(|| reply.pop()).collect();
            let error = events.pop().unwrap().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Stream, "cut at {at}");
            assert_eq!(
                error.message,
                "the stream ended before the response was complete"
            );
            assert_eq!(events, expected[..events.len()], "cut at {at}");
        }
    }
}

#[test]
fn items_that_come_only_with_the_end_are_given_once() {
    let item = |n: u8| format!(r#"{{"type":"message","id":"m{n}","content":[]}}"#);
    let (one, two) = (item(1), item(2));
    let done = format!(
        "data: {{\"type\":\"response.output_item.done\",\"item\":{one}}}\n\n\
         data: {{\"type\":\"response.completed\",\"response\":{{\"id\":\"r\",\"output\":[{one},{two},\
         {{\"type\":\"function_call\",\"call_id\":\"c\"}}]}}}}\n\n"
    );
    insta::assert_snapshot!(lines(&whole(&done)), @r#"
    item {"type":"message","id":"m1","content":[]}
    item {"type":"message","id":"m2","content":[]}
    item {"type":"function_call","call_id":"c"}
    finished Complete r None
    "#);
}

#[test]
fn failures_in_the_stream_end_it() {
    let cases = [
        r#"{"type":"response.failed","response":{"id":"r","error":{"code":"rate_limit_exceeded","message":"Please try again in 1.2s."}}}"#,
        r#"{"type":"response.failed","response":{"status":"failed","error":null}}"#,
        r#"{"type":"error","code":"server_error","message":"oops","param":null}"#,
        r#"{"type":"error","error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"long"}}"#,
        r#"{"error":{"message":"runner died","type":"api_error"}}"#,
        r#"{"type":"response.completed","response":{"status":"failed","error":{"code":"server_error"}}}"#,
        r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"content_filter"}}}"#,
        r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"bored"}}}"#,
        r#"{"type":"response.output_item.done","item":{"no":"type"}}"#,
        r#"{"type":"response.output_item.done","item":7}"#,
        "{\"type\":",
        "not json",
    ];
    let mut all = String::new();
    for case in cases {
        all += &lines(&whole(&format!("data: {case}\n\ndata: {case}\n\n")));
    }
    insta::assert_snapshot!(all, @r#"
    error RateLimit the response failed: Please try again in 1.2s. (rate_limit_exceeded)
    error Server the response failed: no reason given
    error Server the response failed: oops (server_error)
    error ContextLength the response failed: long (context_length_exceeded)
    error Server the response failed: runner died (api_error)
    error Server the response failed: no reason given (server_error)
    finished ContentFilter  None
    finished Other("bored")  None
    error Stream malformed event in the stream (missing field `type` at line 1 column 13): {"type":"response.output_item.done","item":{"no":"type"}}
    error Stream malformed event in the stream (invalid type: integer `7`, expected struct Kind at line 1 column 1): {"type":"response.output_item.done","item":7}
    error Stream malformed event in the stream (EOF while parsing a value at line 1 column 8): {"type":
    error Stream malformed event in the stream (expected ident at line 1 column 2): not json
    "#);
}

#[test]
fn what_is_not_known_is_passed_on() {
    let text = "data: {\"type\":\"response.sings\",\"delta\":{\"la\":1}}\n\nevent: ping\ndata: {}\n\ndata: [DONE]\n\n";
    let events = whole(text);
    assert_eq!(
        events[0],
        Ok(ModelEvent::Unknown(
            r#"{"type":"response.sings","delta":{"la":1}}"#.into()
        ))
    );
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn items_keep_their_bytes() {
    let item = r#"{ "type":"reasoning", "b":1.50, "a":"\u00e9", "a":2 }"#;
    let text = format!("data: {{\"type\":\"response.output_item.done\",\"item\":{item}}}\n\n");
    let Ok(ModelEvent::Item(parsed)) = &whole(&text)[0] else {
        panic!("no item")
    };
    assert_eq!(parsed.raw(), item);
}

#[test]
fn caps_hold_and_what_is_below_them_passes() {
    let event = |size: usize| {
        let text = "x".repeat(size);
        format!(
            "data: {{\"type\":\"response.output_item.done\",\"item\":{{\"type\":\"message\",\"text\":\"{text}\"}}}}\n\n"
        )
    };
    let mut reply = Reply::new(Limits {
        event_bytes: 32 << 20,
        ..limits()
    });
    reply.limits.total_bytes = 256 << 20;
    for piece in event(10 << 20).as_bytes().chunks(16 << 10) {
        reply.push(piece);
    }
    assert!(matches!(reply.pop(), Some(Ok(ModelEvent::Item(_)))));

    insta::assert_snapshot!(lines(&whole(&event(2 << 20))), @r"error TooLarge the event in the stream is larger than 1 MiB");
    insta::assert_snapshot!(lines(&whole(&": comment\n".repeat(1 << 20))), @r"error TooLarge the response is larger than 4 MiB");
}

#[test]
fn an_answer_without_id_or_usage_is_complete() {
    let events = whole("data: {\"type\":\"response.completed\",\"response\":{}}\n\n");
    let Ok(ModelEvent::Finished(finish)) = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(finish.reason, FinishReason::Complete);
    assert_eq!((finish.response_id.as_str(), finish.usage), ("", None));
}
