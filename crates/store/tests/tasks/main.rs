//! The store of tasks: one suite of tests, run on SQLite and on PostgreSQL.
//!
//! Each test is a function over a [`Place`], which any number of stores can be opened on. What
//! only one of the two can do wrong stands in `files` and `server`.

// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used)]

mod claims;
mod cluster;
mod common;
mod fence;
mod files;
mod inbox;
mod lists;
mod logs;
mod place;
mod removal;
mod schema;
mod server;
mod submission;
mod tokens;
mod workers;

use place::Place;

macro_rules! conformance {
    ($($topic:ident { $($test:ident)* })*) => {
        mod on_sqlite {
            $(mod $topic { $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    crate::$topic::$test(crate::Place::sqlite()).await;
                }
            )* })*
        }

        mod on_postgres {
            $(mod $topic { $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(place) = crate::Place::postgres().await {
                        crate::$topic::$test(place).await;
                    }
                }
            )* })*
        }
    };
}

conformance! {
    submission {
        a_task_is_kept_as_it_was_handed_in
        the_same_key_gives_the_same_task
        racing_submissions_of_one_key_make_one_task
        an_id_is_given_once
        attempts_are_added
        repositories_are_kept_by_name
    }
    lists {
        pages_join_without_gap_or_repetition
        filters_restrict
        a_search_finds_all_words_in_any_case
        an_amended_task_is_found_by_its_new_words
        ids_are_found_by_their_beginning
        texts_that_a_database_could_stumble_over_are_kept
    }
    claims {
        the_oldest_is_claimed_first
        each_attempt_is_claimed_once
        a_worker_that_nobody_knows_claims_nothing
    }
    fence {
        a_worker_that_was_given_up_writes_nothing
        a_writer_that_does_not_know_the_log_is_refused
        a_change_is_made_with_its_records_or_not_at_all
        concurrent_writers_leave_no_gap
        one_log_has_one_order_for_many_writers
    }
    logs {
        records_come_back_in_pages
        a_page_of_large_records_is_bounded
    }
    inbox {
        messages_are_numbered_in_order
        the_same_key_sends_once
        a_text_queues_what_has_ended
        a_stop_ends_what_waits
        a_stop_of_what_runs_only_goes_to_the_inbox
        a_release_with_a_pending_text_queues_again
        what_is_stuck_waits_for_another_message
        no_message_is_lost_between_sending_and_releasing
        what_is_let_go_without_an_end_is_queued
    }
    workers {
        beats_tell_of_mail
        a_stop_that_is_done_is_no_mail
        only_who_is_silent_is_given_up
        attempts_of_the_dead_are_queued_again
        what_had_ended_is_not_begun_again
    }
    removal {
        nothing_of_a_removed_task_is_left
        a_task_in_work_is_not_removed
    }
    tokens {
        a_token_is_found_by_its_hash_alone
        a_token_is_revoked_once_and_its_last_use_stays
    }
    schema {
        a_store_is_opened_again_and_by_many_at_once
        a_newer_schema_is_refused
        a_schema_of_an_unreleased_build_is_refused
    }
}
