//! Tests of where a script goes on.

use super::*;

/// Asks `script` with this input and gives the name of the reply.
fn ask(script: &Script, memory: &Memory, input: &str) -> String {
    let body = format!(r#"{{"input":[{input}],"prompt_cache_key":"s"}}"#);
    let asked = Asked::read(&body).unwrap();
    match script.reply(&asked, memory) {
        Ok(reply) => reply.name,
        Err(error) => error.message,
    }
}

fn script(text: &str) -> Script {
    Script::parse(text).unwrap()
}

const THREE: &str = r#"
[[reply]]
events = [{ call = "exec_command", arguments = { cmd = "ls" } }]
[[reply]]
error = { status = 500 }
[[reply]]
text = "done"
[[reply]]
text = "done again"
"#;

const FIRST: &str = r#"{"type":"function_call","id":"fc_r1_0","call_id":"call_r1_0"}"#;
const OUTPUT: &str = r#"{"type":"function_call_output","call_id": "call_r1_0","output":"x"}"#;
const THIRD: &str = r#"{"type":"message","id":"msg_r3_0"}"#;

#[test]
fn replies_come_in_order_and_then_no_more() {
    let (script, memory) = (script(THREE), Memory::default());
    assert_eq!(ask(&script, &memory, ""), "r1");
    assert_eq!(ask(&script, &memory, FIRST), "r2");
    assert_eq!(ask(&script, &memory, OUTPUT), "r3", "after the error");
    assert_eq!(ask(&script, &memory, &format!("{OUTPUT},{THIRD}")), "r4");
    let last = r#"{"type":"message","id":"msg_r4_0"}"#;
    assert_eq!(
        ask(&script, &memory, last),
        "the script has 4 replies, and this request asks for number 5"
    );
}

#[test]
fn a_new_process_goes_on_where_the_conversation_is() {
    let script = script(THREE);
    assert_eq!(
        ask(&script, &Memory::default(), OUTPUT),
        "r2",
        "the error comes again"
    );
    assert_eq!(
        ask(
            &script,
            &Memory::default(),
            &format!("{FIRST},{OUTPUT},{THIRD}")
        ),
        "r4"
    );
}

#[test]
fn a_reply_that_got_lost_is_given_again() {
    let (script, memory) = (script(THREE), Memory::default());
    assert_eq!(ask(&script, &memory, ""), "r1");
    assert_eq!(
        ask(&script, &memory, ""),
        "r1",
        "the client was killed before it kept the first"
    );
    assert_eq!(ask(&script, &memory, FIRST), "r2");
    assert_eq!(ask(&script, &memory, FIRST), "r3");
    assert_eq!(ask(&script, &memory, FIRST), "r3");
    assert_eq!(ask(&script, &memory, ""), "r4", "nothing to see: compacted");
}

#[test]
fn quoted_conversations_are_not_mistaken() {
    let (script, memory) = (script(THREE), Memory::default());
    let quoting = r#"{"type":"message","content":"{\"id\":\"msg_r3_0\"}","id":"u1"}"#;
    assert_eq!(ask(&script, &memory, quoting), "r1");
}

#[test]
fn a_summary_carries_its_place_in_its_text() {
    let text = r#"
[[reply]]
text = "a"
[[reply]]
text = "all that was done"
summary = true
[[reply]]
text = "c"
"#;
    let (script, memory) = (script(text), Memory::default());
    assert_eq!(ask(&script, &memory, ""), "r1");
    assert_eq!(ask(&script, &memory, r#"{"id":"msg_r1_0"}"#), "r2");
    let compacted =
        r#"{"type":"message","content":"before: all that was done\n(script reply r2)"}"#;
    assert_eq!(ask(&script, &memory, compacted), "r3");
    assert_eq!(
        ask(&script, &Memory::default(), compacted),
        "r3",
        "in a new process"
    );
    // A summary that was asked for again, because the first was not taken, is not given again.
    let memory = Memory::default();
    ask(&script, &memory, r#"{"id":"msg_r1_0"}"#);
    assert_eq!(ask(&script, &memory, r#"{"id":"msg_r1_0"}"#), "r3");
}

#[test]
fn recorded_ids_serve_as_well() {
    let text = r#"{"events":[{"item":"{\"type\":\"message\",\"id\":\"msg_abc\"}"}]}
# a comment

{"text":"two"}"#;
    let script = script(text);
    assert_eq!(
        ask(
            &script,
            &Memory::default(),
            r#"{"type":"message","id":"msg_abc"}"#
        ),
        "r2"
    );
}

#[test]
fn matches_go_before_the_order_and_never_run_out() {
    let text = r#"
[[reply]]
text = "one"
[[reply]]
match = "child task"
events = [{ call = "exec_command" }]
[[reply]]
text = "two"
"#;
    let (script, memory) = (script(text), Memory::default());
    let child = r#"{"role":"user","content":"do the child task"}"#;
    assert_eq!(ask(&script, &memory, child), "m1i1");
    assert_eq!(ask(&script, &memory, &format!("{FIRST},{child}")), "m1i2");
    assert_eq!(
        ask(&script, &memory, r#"{"role":"user","content":"hello"}"#),
        "r1"
    );
    assert_eq!(ask(&script, &memory, r#"{"id":"msg_r1_0"}"#), "r2");
}

#[test]
fn conversations_have_an_order_of_their_own() {
    let text = r#"
[[reply]]
text = "parent 1"
[[reply]]
conversation = "child task"
text = "child 1"
[[reply]]
text = "parent 2"
[[reply]]
conversation = "child task"
text = "child 2"
"#;
    let (script, memory) = (script(text), Memory::default());
    let child = r#"{"role":"user","content":"do the child task"}"#;
    assert_eq!(ask(&script, &memory, ""), "r1");
    assert_eq!(ask(&script, &memory, child), "a1r1");
    assert_eq!(
        ask(
            &script,
            &memory,
            &format!(r#"{child},{{"id":"msg_a1r1_0"}}"#)
        ),
        "a1r2"
    );
    assert_eq!(ask(&script, &memory, r#"{"id":"msg_r1_0"}"#), "r2");
}

#[test]
fn expectations_say_what_came_instead() {
    let check = |expect: &str| {
        let script = script(&format!("[[reply]]\ntext = \"a\"\nexpect = {expect}"));
        let body = r#"{"model":"m","tools":[{"name":"exec_command"},{"name":"view_image"}],
            "input":[{"role":"user","content":"first"},{"output":"line 1\nline 2"}]}"#;
        let asked = Asked::read(body).unwrap();
        let reply = script.reply(&asked, &Memory::default());
        reply.map_or_else(|error| error.message, |reply| reply.name)
    };
    for met in [
        r#"{ contains = ["line 1\nline", "2"], not_contains = "first", anywhere = "first" }"#,
        r#"{ items = 2, tools = "exec_command", no_tools = "apply_patch" }"#,
        r#"{ at = { "/input/0/role" = "user", "/model" = "m" } }"#,
    ] {
        assert_eq!(check(met), "r1");
    }
    let unmet = [
        r#"{ contains = "line 3" }"#,
        r#"{ not_contains = "line 1" }"#,
        r#"{ anywhere = "third" }"#,
        "{ items = 7 }",
        r#"{ tools = ["view_image", "apply_patch"] }"#,
        r#"{ no_tools = "view_image" }"#,
        r#"{ at = { "/model" = "n" } }"#,
        r#"{ at = { "/x" = 1 } }"#,
    ];
    insta::assert_snapshot!(unmet.map(check).join("\n"), @r#"
    the script's reply r1 expects the last item to contain "line 3", but it says "line 1\nline 2"
    the script's reply r1 expects the last item not to contain "line 1", but it says "line 1\nline 2"
    the script's reply r1 expects the input to contain "third", but it does not
    the script's reply r1 expects 7 input items, but 2 came
    the script's reply r1 expects the tool apply_patch, but these came: exec_command, view_image
    the script's reply r1 expects no tool view_image, but these came: exec_command, view_image
    the script's reply r1 expects "n" at /model, but there is "m"
    the script's reply r1 expects 1 at /x, but there is nothing
    "#);
}

#[test]
fn an_unmet_expectation_uses_nothing_up() {
    let script = script("[[reply]]\ntext = \"a\"\nexpect = { contains = \"go\" }");
    let memory = Memory::default();
    assert!(ask(&script, &memory, "").contains("expects"));
    assert_eq!(ask(&script, &memory, r#"{"content":"go"}"#), "r1");
}

#[test]
fn mistakes_in_a_script_are_named() {
    let mistakes = [
        "[[reply]]\ntxt = \"a\"",
        "[[reply]]\nevents = [{ text = \"a\" }, {}]",
        "[[reply]]\nevents = [{ text = \"a\", call = \"b\" }]",
        "[[reply]]\nevents = [{ text = \"a\", arguments = \"b\" }]",
        "[[reply]]\nevents = [{ item = \"{}\" }]",
        "[[reply]]\nerror = { status = 200 }",
        "[[reply]]\ntext = \"a\"\nerror = { status = 500 }",
        "[[reply]]\ncut = true\nfailed = { code = \"x\" }",
        "[[reply]]\ncut = { event = 1 }",
        "[[reply]]\nsummary = true",
        "{\"text\":\"a\"}\n{\"text\":1}",
    ];
    let said = mistakes.map(|text| {
        let error = Script::parse(text).unwrap_err();
        let cause = std::error::Error::source(&error);
        let cause = cause.map(|cause| format!(": {}", cause.to_string().trim_end()));
        format!("{error}{}", cause.unwrap_or_default())
    });
    insta::assert_snapshot!(said.join("\n---\n"), @r#"
    not a script in TOML: TOML parse error at line 2, column 1
      |
    2 | txt = "a"
      | ^^^
    unknown field `txt`, expected one of `text`, `events`, `times`, `match`, `conversation`, `summary`, `expect`, `usage`, `finish`, `end_turn`, `response_id`, `error`, `failed`, `cut`, `recorded_error`
    ---
    reply r1: event 2: an event is exactly one of text, reasoning, call, custom, item, deltas, delay_ms
    ---
    reply r1: event 1: an event is exactly one of text, reasoning, call, custom, item, deltas, delay_ms
    ---
    reply r1: event 1: `arguments` does not belong to this kind of event
    ---
    reply r1: event 1: item: item is not an object with a `type`
    ---
    reply r1: 200 is no error status
    ---
    reply r1: an HTTP error has no events
    ---
    reply r1: only one of error, failed, cut and recorded_error may be given
    ---
    not a script in TOML: TOML parse error at line 2, column 7
      |
    2 | cut = { event = 1 }
      |       ^^^^^^^^^^^^^
    data did not match any variant of untagged enum Cut
    ---
    reply r1: a summary needs a text
    ---
    line 2 is not a reply in JSON: invalid type: integer `1`, expected a string at line 1 column 9
    "#);
}
