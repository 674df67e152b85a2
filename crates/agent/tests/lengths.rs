//! Transcripts about the conversation's length: compactions, windows, and other models.

#![allow(clippy::unwrap_used)]

mod common;

use common::{check, check_with, list, settings};
use recto_agent::Next;
use recto_protocol::profile::{CompactionWay, Profile};

#[test]
fn compaction_at_the_limit_by_count() {
    check(
        "context here
        user go            => model +user:here | user:go
        call a
        done 9001
        out a A            => compact
        no-summary         => compact
        compacted SUM      => model +user:SUM
        call b
        done 5000
        out b B            => model +call:b | out:b:B",
    );
}

#[test]
fn compaction_at_the_limit_by_estimate() {
    let mut player = check("user go\ncall a\ndone");
    player.play(&format!("out a {}", "x".repeat(40_000)));
    assert_eq!(player.describe(), "compact");
    // Zeros for a count are no count.
    let mut player = check("user go\ncall a\ndone 0");
    player.play(&format!("out a {}", "x".repeat(40_000)));
    assert_eq!(player.describe(), "compact");
}

#[test]
fn after_two_refused_summaries_old_outputs_are_dropped() {
    let mut player = check("user go");
    for n in 0..4 {
        player.play(&format!("call c{n}"));
        player.play("done");
        player.play(&format!("out c{n} {}", "x".repeat(9_500)));
    }
    assert_eq!(player.describe(), "compact");
    player.play("no-summary");
    assert_eq!(player.describe(), "compact");
    player.play("no-summary");
    let said = player.describe();
    assert_eq!(
        said.matches("out:c0:[This output was dropped").count(),
        1,
        "{said}"
    );
    assert!(said.contains("out:c3:xxxx"), "{said}");
}

#[test]
fn a_compaction_that_frees_too_little_is_not_repeated_at_every_step() {
    let mut player = check("user go");
    let mut compactions = 0;
    for n in 0..50 {
        if player.describe() == "compact" {
            compactions += 1;
            player.play("compacted SUM");
        }
        assert!(player.describe().starts_with("model"), "step {n}");
        player.play(&format!("call c{n}"));
        player.play("done 20000");
        player.play(&format!("out c{n}"));
    }
    assert!(compactions <= 2, "{compactions}");
}

#[test]
fn a_limit_learned_from_a_wrong_refusal_is_forgotten() {
    check(
        "user go
        toolong
        compacted SUM
        call a
        done 5000
        out a              => model +user:SUM | user:go | call:a | out:a:o
        call b
        done 8000
        out b              => model +call:b | out:b:o",
    );
}

#[test]
fn refusals_for_length_count_only_in_a_row() {
    let step = "toolong\ncompacted SUM\ncall c\ndone\nout c\n";
    check(&format!(
        "user go\n{}context x => model +user:go | user:SUM | call:c | out:c:o | user:x",
        step.repeat(10)
    ));
}

#[test]
fn what_was_learned_of_a_models_window_does_not_bind_the_next() {
    check(
        "user go           => model +user:go
        toolong            => compact
        model other        => model +",
    );
}

#[test]
fn a_compaction_of_nothing_is_still_a_request() {
    let settings = recto_protocol::settings::Settings {
        instructions: "x".repeat(40_000),
        ..settings()
    };
    let mut player = common::Player::new(settings);
    player.apply(recto_protocol::record::TurnStarted {
        turn: 1,
        items: Vec::new(),
        output_schema: None,
        inbox: None,
    });
    let Next::Compact(compact) = player.session.next() else {
        panic!()
    };
    assert_eq!(list(&compact.request.input).len(), 1);
}

#[test]
fn an_image_does_not_fill_the_window() {
    let mut player = check("user go\ncall a\ndone");
    let image = format!("data:image/png;base64,{}", "A".repeat(2 << 20));
    let output = serde_json::json!({"type": "function_call_output", "call_id": "a",
        "output": [{"type": "input_image", "image_url": image}]});
    player.apply(recto_protocol::record::ToolFinished {
        call_id: "a".into(),
        status: recto_protocol::tool::ToolStatus::Ok,
        item: recto_protocol::Item::from_value(&output).unwrap(),
        effect: recto_protocol::tool::Effect::Image {
            path: "i.png".into(),
        },
        duration_ms: 0,
    });
    assert!(matches!(player.session.next(), Next::CallModel(_)));
}

#[test]
fn a_provider_that_compacts_by_itself_gets_one_try() {
    let profile = Profile {
        context_window: 10_000,
        compaction: CompactionWay::Provider,
        ..Profile::default()
    };
    let settings = recto_protocol::settings::Settings {
        profile,
        ..settings()
    };
    check_with(
        settings,
        "user go           => model +user:go
        call a
        done 9500
        out a              => compact by provider
        no-summary         => compact
        compacted SUM      => model +user:SUM
        call b
        done 3000
        out b
        call c
        done 9500
        out c              => compact by provider
        compacted-by-provider => model =user:go | compaction
        say A
        done 4000
        end
        model other
        user next          => model =user:go | dev:The earlier part of the conversation is … | say:A | user:next",
    );
}

#[test]
fn another_model_gets_no_reasoning_of_the_first() {
    let player = check(
        "user go           => model +user:go
        think r1
        call a
        done 9500
        model other
        out a A            => model +call:a | out:a:A
        think r2
        say B
        done
        end
        user next          => model +think:r2 | say:B | user:next",
    );
    assert_eq!(player.session.settings().model, "other");
    // A response that was under way keeps streaming; its reasoning goes with it.
    check(
        "user go           => model +user:go
        think r1
        model other        => wait
        think r2
        call a
        done
        out a A            => model +call:a | out:a:A",
    );
}
