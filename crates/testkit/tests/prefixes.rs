//! Every prefix of every log goes on: what that means, and how it is shown, is said in
//! `prefixes/prove.rs`. Each test is one session.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed step fails the test"
)]

#[path = "prefixes/prove.rs"]
mod prove;

use prove::scenario;
use serde_json::json;

const A: &[(&str, &str)] = &[("a.txt", "one\ntwo\nthree\n")];

fn usage(input: u64) -> serde_json::Value {
    json!({"input_tokens": input, "output_tokens": 10})
}

#[test]
fn a_plain_answer() {
    scenario(A)
        .answer("The answer.")
        .mend("true")
        .torn()
        .prove();
}

#[test]
fn one_command() {
    scenario(A)
        .exec("echo x > b.txt")
        .answer("done")
        .mend("echo x > b.txt")
        .torn()
        .prove();
}

#[test]
fn several_commands_in_a_row() {
    scenario(A)
        .exec("echo 1 > 1.txt")
        .exec("cp 1.txt 2.txt && echo 2 >> 2.txt")
        .exec("rm -f a.txt; ls > list.txt")
        .exec("git add -A && git commit -qm all")
        .answer("done")
        .mend(
            "echo 1 > 1.txt; (echo 1; echo 2) > 2.txt; rm -f a.txt; printf '1.txt\\n2.txt\\nlist.txt\\n' \
             > list.txt; git add -A; git log --format=%s | grep -qx all || git commit -qm all; \
             git diff --quiet HEAD || git commit -q --amend --no-edit",
        )
        .prove();
}

#[test]
fn parallel_calls() {
    let call = |n: u32| json!({"call": "exec_command", "arguments": {"cmd": format!("sleep 0.0{n}; echo {n} > {n}.txt")}});
    let all = "for n in 1 2 3; do echo $n > $n.txt; done";
    // A response that was cut may have lacked calls that the model knows nothing of; it looks.
    scenario(A)
        .reply(json!({"events": [call(3), call(2), call(1)]}))
        .exec(all)
        .answer("done")
        .mend(all)
        .prove();
}

#[test]
fn patches() {
    scenario(A)
        .patch("*** Begin Patch\n*** Update File: a.txt\n@@\n-two\n+zwei\n*** Add File: d/b.txt\n+b\n*** End Patch\n")
        .patch("*** Begin Patch\n*** Delete File: d/b.txt\n*** Update File: a.txt\n*** Move to: c.txt\n@@\n-three\n+drei\n*** End Patch\n")
        .answer("done")
        .on_loss(&json!({"events": [{"call": "exec_command", "arguments": {"cmd":
            "rm -rf a.txt d; printf 'one\\nzwei\\ndrei\\n' > c.txt"}}]}))
        .prove();
}

#[test]
fn a_patch_as_free_text_and_one_as_a_heredoc() {
    scenario(A)
        .reply(json!({"events": [{"custom": "apply_patch", "input":
            "*** Begin Patch\n*** Update File: a.txt\n@@\n-two\n+zwei\n*** End Patch\n"}]}))
        .exec("apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: b.txt\n+b\n*** End Patch\nEOF")
        .answer("done")
        .mend("printf 'one\\nzwei\\nthree\\n' > a.txt; echo b > b.txt")
        .prove();
}

#[test]
fn failures_of_every_kind() {
    scenario(A)
        .exec("echo x > x.txt; exit 7")
        .call("no_such_tool", json!({"x": 1}))
        .reply(json!({"events": [{"call": "exec_command", "arguments": "{not json"}]}))
        .patch("*** Begin Patch\n*** Update File: a.txt\n@@\n-not there\n+y\n*** End Patch\n")
        .patch("*** Begin Patch\n*** Update File: ../outside.txt\n@@\n-a\n+b\n*** End Patch\n")
        .exec("kill -9 $$")
        .answer("all failed")
        .mend("echo x > x.txt")
        .prove();
}

#[test]
fn the_provider_is_busy() {
    scenario(A)
        .reply(json!({"error": {"status": 429, "code": "rate_limit_exceeded", "message": "slow down"}}))
        .exec("echo x > x.txt")
        .reply(json!({"error": {"status": 500, "message": "oops"}}))
        .answer("done")
        .mend("echo x > x.txt")
        .prove();
}

#[test]
fn streams_are_cut() {
    scenario(A)
        .reply(
            json!({"events": [{"call": "exec_command", "arguments": {"cmd": "echo no > no.txt"}}],
            "cut": {"events": 0}}),
        )
        .reply(
            json!({"events": [{"reasoning": "hm"}, {"call": "exec_command", "arguments":
            {"cmd": "echo x > x.txt"}}], "cut": true}),
        )
        .reply(json!({"events": [{"text": "The ans"}], "cut": true}))
        .exec("echo no > no.txt; echo x > x.txt")
        .answer("The answer.")
        .mend("echo no > no.txt; echo x > x.txt")
        .prove();
}

#[test]
fn the_output_limit_cuts_an_answer() {
    scenario(A)
        .exec("echo x > x.txt")
        .reply(json!({"text": "Once upon ", "finish": "output_limit"}))
        .reply(json!({"text": "a time."}))
        .reply(
            json!({"match": "The worker stopped", "events": [{"call": "exec_command",
            "arguments": {"cmd": "echo x > x.txt"}}]}),
        )
        .reply(json!({"match": "The connection broke", "text": "Once upon a time."}))
        .prove();
}

#[test]
fn a_compaction() {
    let flags = ["-c", "model_auto_compact_token_limit=20000"];
    scenario(A)
        .reply(
            json!({"events": [{"call": "exec_command", "arguments": {"cmd": "echo x > x.txt"}}],
            "usage": usage(30_000)}),
        )
        .reply(json!({"summary": true, "text": "There should be an x.", "usage": usage(30_100)}))
        // A result that was lost right before the compaction is a matter of the summary.
        .reply(json!({"events": [{"call": "exec_command", "arguments":
            {"cmd": "echo x > x.txt; cp x.txt y.txt"}}], "usage": usage(3_000)}))
        .answer("done")
        .on_loss(
            &json!({"events": [{"call": "exec_command", "arguments": {"cmd":
            "echo x > x.txt; cp x.txt y.txt"}}], "usage": usage(30_000)}),
        )
        .turn("do it", &flags)
        .prove();
}

#[test]
fn summaries_that_are_empty() {
    let flags = ["-c", "model_auto_compact_token_limit=20000"];
    scenario(A)
        .reply(json!({"events": [{"call": "exec_command", "arguments":
            {"cmd": "echo x > x.txt; seq 1 9000"}}], "usage": usage(30_000)}))
        .reply(json!({"text": " ", "usage": usage(30_000)}))
        .reply(json!({"text": "", "usage": usage(30_000)}))
        .exec("cp x.txt y.txt")
        .answer("done")
        .on_loss(
            &json!({"events": [{"call": "exec_command", "arguments": {"cmd":
            "echo x > x.txt; cp x.txt y.txt"}}], "usage": usage(30_000)}),
        )
        .turn("do it", &flags)
        .prove();
}

#[test]
fn the_context_is_too_long() {
    scenario(A)
        .exec("echo x > x.txt; seq 1 9000")
        .reply(json!({"failed": {"code": "context_length_exceeded", "message": "too long"}}))
        .reply(json!({"summary": true, "text": "There was an x."}))
        .exec("cp x.txt y.txt")
        .answer("done")
        .mend("echo x > x.txt; cp x.txt y.txt")
        .prove();
}

fn with_schema() -> (prove::Scenario, String) {
    let scenario = scenario(A);
    let path = scenario.home().path().join("schema.json");
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}},
        "required": ["n"], "additionalProperties": false});
    std::fs::write(&path, schema.to_string()).unwrap();
    (scenario, path.display().to_string())
}

#[test]
fn an_answer_that_does_not_fit_its_schema_at_first() {
    let (scenario, schema) = with_schema();
    scenario
        .reply(json!({"text": "seven"}))
        .answer("{\"n\": 7}")
        .on_loss(&json!({"text": "{\"n\": 7}"}))
        .turn("how many?", &["--output-schema", &schema])
        .prove();
}

#[test]
fn an_answer_that_never_fits_its_schema() {
    let (scenario, schema) = with_schema();
    scenario
        .exec("echo x > x.txt")
        .reply(json!({"text": "seven", "times": 6}))
        .mend("echo x > x.txt")
        .turn("how many?", &["--output-schema", &schema])
        .ends_with(1)
        .prove();
}

#[test]
fn checks_that_the_harness_runs() {
    scenario(A)
        .exec("echo x > x.txt")
        .answer("done")
        .mend("echo x > x.txt")
        .turn(
            "do it",
            &["--check", "test -e x.txt", "--check", "grep -q x x.txt"],
        )
        .prove();
}

#[test]
fn a_check_that_fails_once() {
    scenario(A)
        .exec("echo x > x.txt")
        .reply(json!({"text": "done"}))
        .reply(
            json!({"match": "these required checks were run and failed", "events":
            [{"call": "exec_command", "arguments": {"cmd": "echo y > y.txt"}}]}),
        )
        .answer("done")
        .on_loss(
            &json!({"events": [{"call": "exec_command", "arguments": {"cmd":
            "echo x > x.txt; echo y > y.txt"}}]}),
        )
        .turn("do it", &["--check", "test -e y.txt"])
        .prove();
}

#[test]
fn a_budget_is_used_up() {
    scenario(A)
        .exec("echo x > x.txt")
        .reply(
            json!({"events": [{"call": "exec_command", "arguments": {"cmd": "echo y > y.txt"}}],
            "times": 20, "usage": usage(5_000)}),
        )
        .on_loss(
            &json!({"events": [{"call": "exec_command", "arguments": {"cmd":
            "echo x > x.txt; echo y > y.txt"}}]}),
        )
        .turn("do it", &["--max-tokens", "12000"])
        .ends_with(3)
        .prove();
}

#[test]
fn several_turns() {
    scenario(A)
        .exec("echo 1 > x.txt")
        .reply(json!({"text": "one"}))
        .exec("echo 2 > y.txt")
        .reply(json!({"text": "two"}))
        .exec("cat x.txt y.txt > z.txt")
        .answer("three")
        .mend("echo 1 > x.txt; echo 2 > y.txt; cat x.txt y.txt > z.txt")
        .turn("first", &[])
        .turn("second", &[])
        .turn("third", &[])
        .on_loss(&json!({"text": "never reached"}))
        .prove();
}

#[test]
fn a_policy_that_changes_between_turns() {
    scenario(A)
        .exec("echo 1 > x.txt")
        .reply(json!({"text": "done"}))
        .exec("echo 2 > y.txt || echo refused")
        .answer("done")
        .on_cut(&json!({"text": "done"}))
        .mend("echo 1 > x.txt || true")
        .turn("first", &[])
        .turn("second", &["--sandbox", "read-only"])
        .prove();
}

#[test]
fn a_question() {
    scenario(A)
        .ask()
        .exec("cat a.txt; echo no > no.txt")
        .answer("It is in a.txt. [a.txt:2]")
        .mend("cat a.txt")
        .prove();
}

#[test]
fn a_background_command_and_its_input() {
    scenario(A)
        .call(
            "exec_command",
            json!({"cmd": "read line; echo $line > x.txt", "tty": true,
            "yield_time_ms": 250}),
        )
        .call(
            "write_stdin",
            json!({"session_id": 1, "chars": prove::SAID, "yield_time_ms": 20000}),
        )
        .answer("done")
        .mend("echo hello > x.txt")
        .prove();
}

#[test]
fn a_plan_and_an_image() {
    const DOT: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let make = format!("echo {DOT} | base64 -d > dot.png");
    scenario(A)
        .call(
            "update_plan",
            json!({"plan": [{"step": "look", "status": "in_progress"}]}),
        )
        .exec(&make)
        .call("view_image", json!({"path": "dot.png"}))
        .call(
            "update_plan",
            json!({"plan": [{"step": "look", "status": "completed"}]}),
        )
        .answer("A dot.")
        .mend(&make)
        .prove();
}

#[test]
fn instruction_files_deeper_down() {
    scenario(&[
        ("AGENTS.md", "Be kind.\n"),
        ("d/AGENTS.md", "Be brief.\n"),
        ("d/x.txt", "x\n"),
    ])
    .exec("cat d/x.txt > y.txt")
    .patch("*** Begin Patch\n*** Update File: d/x.txt\n@@\n-x\n+z\n*** End Patch\n")
    .answer("done")
    .mend("echo x > y.txt; echo z > d/x.txt")
    .prove();
}

#[test]
fn an_interrupt_and_another_turn() {
    scenario(A)
        .exec("echo x > x.txt")
        .exec("until [ -e gate ]; do sleep 0.02; done; echo y > y.txt")
        .exec("echo x > x.txt; echo y > y.txt")
        .answer("done")
        .mend("echo x > x.txt; echo y > y.txt")
        .interrupted_turn("first", "gate")
        .turn("second", &[])
        .prove();
}

#[test]
fn an_interrupt_at_the_end() {
    scenario(A)
        .exec("echo x > x.txt")
        .exec("until [ -e gate ]; do sleep 0.02; done")
        .answer("done")
        .mend("echo x > x.txt")
        .interrupted_turn("first", "gate")
        .ends_with(130)
        .prove();
}

#[test]
fn a_long_output_and_its_chunk() {
    scenario(A)
        .exec("seq 1 100000; echo x > x.txt")
        .exec("seq 1 10 > y.txt; cat y.txt")
        .answer("done")
        .mend("echo x > x.txt; seq 1 10 > y.txt")
        .prove();
}

#[test]
fn a_turn_that_fails_and_another_one() {
    scenario(A)
        .reply(
            json!({"match": "please fail", "error": {"status": 400, "code": "invalid_request",
            "message": "no"}}),
        )
        .exec("echo x > x.txt")
        .answer("done")
        .mend("echo x > x.txt")
        .turn("please fail", &[])
        .turn("go on now", &[])
        .prove();
}

#[test]
fn a_model_that_fails_for_good() {
    scenario(A)
        .exec("echo x > x.txt")
        .reply(json!({"error": {"status": 403, "message": "not you"}, "times": 5}))
        .mend("echo x > x.txt")
        .ends_with(1)
        .prove();
}

#[test]
fn empty_responses_and_remarks() {
    scenario(A)
        .reply(json!({"events": []}))
        .reply(json!({"text": "I will look first.", "end_turn": false}))
        .reply(
            json!({"events": [{"reasoning": "so"}, {"text": "Looking.", "phase": "commentary"},
            {"call": "exec_command", "arguments": {"cmd": "echo x > x.txt"}}]}),
        )
        .answer("done")
        .mend("echo x > x.txt")
        .prove();
}

#[test]
fn a_refusal() {
    scenario(A)
        .exec("echo x > x.txt")
        .reply(
            json!({"events": [{"item": {"type": "message", "id": "msg_no", "role": "assistant",
            "content": [{"type": "refusal", "refusal": "I will not."}]}}]}),
        )
        .on_cut(
            &json!({"events": [{"item": {"type": "message", "id": "msg_never", "role": "assistant",
            "content": [{"type": "refusal", "refusal": "I will not, again."}]}}]}),
        )
        .mend("echo x > x.txt")
        .ends_with(1)
        .prove();
}

#[test]
fn the_same_failing_call_without_end() {
    scenario(A)
        .reply(json!({"events": [{"call": "exec_command", "arguments": {"cmd": "false"}}], "times": 40}))
        .ends_with(1)
        .prove();
}
