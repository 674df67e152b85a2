//! What the agent does, as transcripts: what happens on the left, what the driver must do then on
//! the right. `model +…` is a request with what is new in it, `model =…` one with a new history.

mod common;

use common::{check, check_with, list, settings};
use recto_agent::{Next, Session};
use recto_protocol::record::Outcome;
use recto_protocol::settings::{Budget, Mode};
use recto_protocol::usage::Micros;

fn budget(budget: Budget) -> recto_protocol::settings::Settings {
    recto_protocol::settings::Settings {
        budget,
        ..settings()
    }
}

fn with_checks(checks: &[&str]) -> recto_protocol::settings::Settings {
    let checks = checks.iter().map(|&check| check.to_owned()).collect();
    recto_protocol::settings::Settings {
        checks,
        ..settings()
    }
}

#[test]
fn a_plain_answer() {
    check(
        "context here     => idle
        user hello        => model +user:here | user:hello
        start             => wait
        think r           => wait
        say Hi            => wait
        done              => end completed: Hi
        end               => idle completed: Hi",
    );
}

#[test]
fn a_step_with_a_tool() {
    check(
        "user list         => model +user:list
        think r            => wait
        call a             => run a
        done               => run a
        out a files        => model +think:r | call:a | out:a:files
        say There          => wait
        done               => end completed: There",
    );
}

#[test]
fn outputs_follow_in_the_order_of_the_calls_once_the_response_has_ended() {
    check(
        "user go           => model +user:go
        call a             => run a
        call b             => run a b
        out b B            => run a
        call c             => run a c
        out a A            => run c
        out c C            => wait
        done               => model +call:a | call:b | call:c | out:a:A | out:b:B | out:c:C",
    );
    check(
        "user go
        call a             => run a
        patch b            => run a b
        done               => run a b
        out b B            => run a
        out a A            => model +user:go | call:a | call:b | out:a:A | out:b:B",
    );
}

#[test]
fn steering_while_the_model_streams_comes_after_the_step() {
    check(
        "user go           => model +user:go
        call a             => run a
        steer no, stay     => run a
        done
        steer really
        out a A            => model +call:a | out:a:A | user:no, stay | user:really",
    );
    check(
        "user go           => model +user:go
        say Answer         => wait
        steer and more     => wait
        done               => model +say:Answer | user:and more
        say Second
        done               => end completed: Second",
    );
}

#[test]
fn steering_between_steps_and_after_the_answer() {
    check(
        "user go           => model +user:go
        steer wait         => model +user:wait
        say Answer
        done               => end completed: Answer
        steer but          => model +say:Answer | user:but
        say Other
        done               => end completed: Other
        end
        steer later        => idle completed: Other
        user now           => model +say:Other | user:later | user:now",
    );
}

#[test]
fn context_that_comes_while_the_answer_streams_does_not_withdraw_it() {
    check(
        "user go
        say Answer
        context policy     => wait
        done               => end completed: Answer",
    );
}

#[test]
fn queued_messages_wait_for_the_answer() {
    check(
        "user go           => model +user:go
        queue second       => model +
        call a
        done
        out a A            => model +call:a | out:a:A
        say First
        queue third        => wait
        done               => model +say:First | user:second | user:third
        say Second
        done               => end completed: Second
        queue fourth       => model +say:Second | user:fourth
        interrupt
        queue fifth        => end interrupted: user
        end
        queue sixth        => idle interrupted: user
        user x             => model +dev:The previous turn was stopped before you… | user:fifth | user:sixth | user:x",
    );
}

#[test]
fn interrupting_a_response_and_tools() {
    check(
        "user go
        think r
        interrupt          => end interrupted: user
        end                => idle interrupted: user
        user again         => model +user:go | dev:The previous turn was stopped before you… | user:again
        call a
        call b
        out b B
        interrupt          => end interrupted: user
        end
        user more          => model +call:a | call:b | out:a:Stopped: the turn was interrupted before… | out:b:B | dev:The previous turn was stopped before you… | user:more",
    );
}

#[test]
fn interrupting_a_compaction() {
    check(
        "user go
        call a
        done 9500
        out a A            => compact
        interrupt          => end interrupted: user
        end
        user more          => compact
        steer hurry        => compact
        compacted SUM      => model +user:go | user:SUM | dev:The previous turn was stopped before you… | user:more | user:hurry",
    );
}

#[test]
fn budgets() {
    check_with(
        budget(Budget {
            steps: Some(2),
            ..Budget::default()
        }),
        "user go
        call a
        done
        out a              => model +user:go | call:a | out:a:o
        call b
        done               => run b
        out b              => end budget: 2 steps in one turn
        end
        user more
        say Fine
        done               => end completed: Fine",
    );
    check_with(
        budget(Budget {
            cost: Some(Micros(2000)),
            ..Budget::default()
        }),
        "user go
        call a
        done 10
        out a              => model +user:go | call:a | out:a:o
        call b
        done 10
        out b              => end budget: $0.0020
        end
        user more          => end budget: $0.0020",
    );
    check_with(
        budget(Budget {
            tokens: Some(100),
            ..Budget::default()
        }),
        "user go
        say Late
        done 200           => end completed: Late
        steer more         => end budget: 100 tokens",
    );
}

#[test]
fn time_without_a_driver_does_not_count() {
    let player = check_with(
        budget(Budget { seconds: Some(60), ..Budget::default() }),
        "user go
        call a
        seconds 30
        done
        seconds 9999
        attach             => model +user:go | call:a | out:a:The worker stopped before the result of …
        seconds 29
        call b
        done
        out b              => model +call:b | out:b:o
        seconds -500
        context x
        seconds 1
        context y          => end budget: 60 seconds",
    );
    assert_eq!(player.session.turn_totals().duration_ms, 60_000);
    assert_eq!(player.session.time_left().unwrap().as_secs(), 0);
}

#[test]
fn a_cut_stream_keeps_finished_items_and_executed_tools() {
    check(
        "user go           => model +user:go
        think r1
        call a
        out a A
        think r2
        cut                => model +think:r1 | call:a | out:a:A
        call b
        cut                => run b
        out b B            => model +call:b | out:b:B
        say Partial
        cut                => model +say:Partial | dev:The connection broke before your last re…
        say Whole
        done               => end completed: Whole",
    );
}

#[test]
fn failures_in_a_row_are_counted_until_a_response_is_finished() {
    let mut player = check(
        "user go
        cut
        think r
        cut
        call a
        cut
        out a",
    );
    assert_eq!(player.session.failures(), 3);
    player.play("say x");
    player.play("done");
    assert_eq!(player.session.failures(), 0);
    check(
        "user go
        fail               => end failed: model",
    );
}

#[test]
fn a_request_that_is_too_long_is_compacted_and_retried() {
    check(
        "user go
        call a
        done
        out a A
        toolong            => compact
        compacted SUM      => model +user:go | user:SUM
        say Answer
        done               => end completed: Answer",
    );
}

#[test]
fn a_request_that_stays_too_long_ends_the_turn_at_last() {
    let mut player = check("user go");
    let mut compactions = 0;
    loop {
        match player.session.next() {
            Next::CallModel(_) => player.play("toolong"),
            Next::Compact(_) => {
                compactions += 1;
                player.play("compacted SUM");
            }
            Next::EndTurn(Outcome::Failed { reason, .. }) if reason == "model" => break,
            other => panic!("{other:?}"),
        }
        assert!(compactions < 20);
    }
    assert_eq!(compactions, 6);
}

#[test]
fn a_message_that_fills_the_window_is_cut_rather_than_the_session_stuck() {
    let mut player = check("user go");
    player.play(&format!("steer {}", "x".repeat(400_000)));
    player.play("toolong");
    player.play("no-summary");
    player.play("no-summary");
    let said = player.describe();
    assert!(
        said.starts_with("model +dev:The conversation so far"),
        "{said}"
    );
    assert!(said.contains("| user:go | user:xxx"), "{said}");
    assert!(player.session.input().len() < 110_000);
}

#[test]
fn an_answer_cut_by_the_output_limit_is_continued_and_joined() {
    check(
        "user go           => model +user:go
        say One,
        limit              => model +say:One, | dev:Your last response reached the output li…
        remark hm
        say two,
        limit
        say three.
        done               => end completed: One,two,three.",
    );
    // Calls in between end the answer that was begun.
    check(
        "user go
        say One
        limit
        call a
        limit              => run a
        out a
        say Two
        done               => end completed: Two",
    );
    check(&format!(
        "user go\n{}=> end failed: output_limit",
        "say x\nlimit\n".repeat(10) + "limit"
    ));
}

#[test]
fn empty_responses_are_asked_again_twice() {
    check(
        "user go           => model +user:go
        done               => model +dev:Your last response was empty. Go on with…
        think r
        done               => model +dev:Your last response was empty. Go on with…
        done               => end failed: empty",
    );
    check(
        "user go
        done
        say Answer
        done               => end completed: Answer",
    );
}

#[test]
fn a_response_that_is_not_the_last_is_followed_by_another() {
    check(
        "user go           => model +user:go
        say Wait
        goon               => model +say:Wait
        say Answer
        done               => end completed: Answer",
    );
    check(&format!(
        "user go\n{}say x\ngoon => end completed: x",
        "say x\ngoon\n".repeat(10)
    ));
}

#[test]
fn a_refusal_ends_the_turn() {
    check(
        "user go
        refuse no
        done               => end failed: refusal",
    );
    check("user go\nsay x\nfilter => end failed: content_filter");
}

#[test]
fn remarks_are_no_answer_unless_there_is_nothing_else() {
    check(
        "user go
        say Answer
        remark aside
        done               => end completed: Answer",
    );
    check(
        "user go
        remark aside
        done               => end completed: aside",
    );
}

#[test]
fn unknown_items_are_kept_verbatim() {
    let item = r#"{"type":"web_search_call",  "id":"ws_1","action":{"query":"\u00e9"}}"#;
    let player = check(&format!(
        "user go
        item {item}
        item {{\"type\":\"never_seen\",\"x\":[1,{{}}]}}
        say A
        done               => end completed: A"
    ));
    assert!(player.session.input().contains(item));
    assert!(
        player
            .session
            .input()
            .contains(r#"{"type":"never_seen","x":[1,{}]}"#)
    );
}

#[test]
fn calls_that_cannot_be_answered_are_not_sent_back() {
    check(
        r#"user go         => model +user:go
        call a
        think r
        call a             => run a
        item {"type":"function_call","name":"exec_command","arguments":"{}"}
        item {"type":"custom_tool_call","status":"incomplete","call_id":"b","name":"apply_patch","input":"*** Begin"}
        item {"type":"function_call_output","call_id":"zz","output":"forged"}
        done
        out a              => model +call:a | out:a:o | dev:A tool call in your last response was no…
        item {"type":"custom_tool_call","status":"incomplete","call_id":"b","name":"apply_patch","input":"*** Begin"}
        limit              => model +dev:A tool call in your last response was no…"#,
    );
    // The same id in a later response is another call.
    check(
        "user go           => model +user:go
        call a
        done
        out a 1
        call a
        done
        out a 2            => model +call:a | out:a:1 | call:a | out:a:2",
    );
}

#[test]
fn only_the_first_64_calls_of_a_response_are_run() {
    let mut player = check("user go");
    for n in 0..1000 {
        player.play(&format!("call c{n}"));
    }
    player.play("done");
    let Next::RunTools(calls) = player.session.next() else {
        panic!()
    };
    assert_eq!(calls.len(), 64);
}

#[test]
fn the_same_failing_call_is_remarked_upon_and_then_ends_the_turn() {
    let mut table = String::from("user go\n");
    for n in 1..=6 {
        let next = match n {
            3 => {
                "=> model +user:go | call:c1 | out:c1:no | call:c2 | out:c2:no | call:c3 | out:c3:no | dev:The same call has now failed three times…"
            }
            6 => "=> end failed: loop",
            _ => "",
        };
        table.push_str(&format!("call c{n} make\ndone\nbad c{n} no {next}\n"));
    }
    check(&table);
}

#[test]
fn checks_are_run_after_the_last_change_and_a_failure_is_handed_back_once() {
    check_with(
        with_checks(&["make test", " make lint ", "", "make test"]),
        "user go
        patch a
        done
        out a
        say Done
        done               => check make test, make lint
        broke make test    => check make lint
        pass make lint     => model +user:go | call:a | out:a:o | say:Done | dev:Before accepting the result, these requi…
        patch b
        done
        out b
        say Again
        done               => check make test, make lint
        pass make lint
        broke make test    => end completed: Again
        end
        user why?
        say Because
        done               => end completed: Because",
    );
}

#[test]
fn a_failed_check_that_there_is_no_budget_to_repair_leaves_the_answer() {
    let settings = recto_protocol::settings::Settings {
        budget: Budget {
            steps: Some(2),
            ..Budget::default()
        },
        ..with_checks(&["make"])
    };
    check_with(
        settings,
        "user go
        patch a
        done
        out a
        say Done
        done               => check make
        broke make         => end completed: Done",
    );
}

#[test]
fn nothing_is_checked_when_nothing_can_have_changed() {
    let only_talk = "user go
        say Hello
        done               => end completed: Hello";
    let only_read = "user go
        call a
        done
        out a
        say Hello
        done               => end completed: Hello";
    check_with(with_checks(&["make"]), only_talk);
    let ask = recto_protocol::settings::Settings {
        mode: Mode::Ask,
        ..with_checks(&["make"])
    };
    check_with(ask, only_read);
}

#[test]
fn a_check_that_the_model_ran_counts_only_when_it_ran_as_the_harness_would() {
    let table = |events: &str, next: &str| {
        let table = format!("user go\npatch p\ndone\nout p\n{events}\nsay A\ndone => {next}");
        check_with(with_checks(&["make"]), &table);
    };
    table("call a make\ndone\nout a", "end completed: A");
    table("call a make\ndone\nbad a", "check make");
    // Beside another call, before another command, elsewhere, or with another shell.
    table("call a make\ncall b\ndone\nout b\nout a", "check make");
    table(
        "call a make\ndone\nout a\ncall b git commit\ndone\nout b",
        "check make",
    );
    for arguments in [
        r#"{\"cmd\":\"make\",\"workdir\":\"/w/sub\"}"#,
        r#"{\"cmd\":\"make\",\"shell\":\"/tmp/x\"}"#,
    ] {
        let item = format!(
            r#"item {{"type":"function_call","call_id":"a","name":"exec_command","arguments":"{arguments}"}}"#
        );
        table(&format!("{item}\ndone\nout a"), "check make");
    }
    // A call whose output was lost may have changed anything.
    table(
        "call a make\ndone\nout a\ncall b\ndone\nattach",
        "check make",
    );
    // A rejected one has not.
    table(
        "call a make\ndone\nout a\ncall b\ndone\nrejected b",
        "end completed: A",
    );
}

#[test]
fn a_passed_check_does_not_make_another_stale() {
    check_with(
        with_checks(&["make test", "make lint"]),
        "user go
        patch p
        done
        out p
        call a make test
        done
        out a
        call b make lint
        done
        out b
        say A
        done               => end completed: A",
    );
}

#[test]
fn checks_that_are_declared_late_cover_earlier_changes() {
    check(
        "user go
        patch a
        done
        out a
        checks make
        say Done
        done               => check make",
    );
}

#[test]
fn an_answer_that_does_not_fit_is_asked_again_once() {
    let player = check(
        r#"schema {"type":"object"}
        say one
        done               => end completed: one
        reject must fit    => model +user:{"type":"object"} | say:one | dev:must fit
        say two
        done               => end completed: two
        reject-last no     => end failed: schema"#,
    );
    assert_eq!(player.session.rejections(), 2);
    check(r#"schema {}},"x":{  => end failed: schema"#);
}

#[test]
fn turns_follow_each_other() {
    let player = check(
        "user one          => model +user:one
        say 1
        done
        end
        user two           => model +say:1 | user:two
        call a
        done
        out a
        say 2
        done
        end
        attach             => idle completed: 2
        user three         => model +call:a | out:a:o | say:2 | user:three
        say 3
        done
        end                => idle completed: 3",
    );
    assert_eq!(player.session.turns(), 3);
    assert_eq!(player.session.totals().steps, 4);
}

#[test]
fn a_session_resumes_at_every_point() {
    let whole = check_with(
        with_checks(&["make"]),
        "context here
        user go
        start
        think r
        call a
        call b
        out b B
        steer quick
        done 9500
        out a A
        no-summary
        compacted SUM
        patch c
        done
        out c
        queue more
        say First
        done
        say Second
        done
        broke make
        say Third
        done
        end
        user again
        say Fourth
        interrupt
        end",
    );
    for cut in 1..=whole.records.len() {
        let mut player = common::Player::new(with_checks(&["make"]));
        player.records = whole.records[..cut].to_vec();
        player.session = Session::replay(&player.records).unwrap();
        let was_running = player.session.is_running();
        player.play("attach");
        for round in 0.. {
            assert!(round < 20, "cut at {cut} does not end");
            match player.session.next() {
                Next::CallModel(request) => {
                    common::valid_input(&request.input);
                    player.play("say End");
                    player.play("done");
                }
                Next::Compact(_) => player.play("compacted SUM"),
                Next::RunChecks(checks) => player.play(&format!("pass {}", checks[0])),
                Next::EndTurn(_) => player.play("end"),
                Next::Idle(outcome) => {
                    assert!(!was_running || outcome.is_some(), "cut at {cut}");
                    break;
                }
                other @ (Next::RunTools(_) | Next::AwaitResponse) => {
                    panic!("cut at {cut}: {other:?} after a new driver came")
                }
            }
        }
        assert_eq!(
            Session::replay(&player.records).as_ref(),
            Some(&player.session)
        );
    }
}

#[test]
fn a_turn_that_ends_with_open_calls_answers_them() {
    let player = check("user go\ncall a\nrefuse no\ndone => end failed: refusal\nend");
    let items = list(player.session.input());
    assert_eq!(items.last().unwrap()["call_id"], "a");
    common::valid_input(player.session.input());
}
