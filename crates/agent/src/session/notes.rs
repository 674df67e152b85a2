//! What the harness says to the model. Fixed texts, so that a fold always makes the same bytes.

use recto_protocol::Item;
use recto_protocol::tool::ToolCall;

pub(super) fn lost_output(call: &ToolCall) -> Item {
    Item::call_output(
        call,
        &"The worker stopped before the result of this call was recorded, so it is not known \
          whether or how far it ran. Look at the current state before you decide to repeat it."
            .into(),
    )
}

pub(super) fn interrupted_output(call: &ToolCall) -> Item {
    Item::call_output(
        call,
        &"Stopped: the turn was interrupted before this call ended.".into(),
    )
}

pub(super) fn interrupted() -> Item {
    developer(
        "The previous turn was stopped before you finished. Commands that were still running \
         were ended; the files are as they were left.",
    )
}

pub(super) fn continue_output() -> Item {
    developer(
        "Your last response reached the output limit and was cut. Go on exactly where it stops, \
         without repeating anything.",
    )
}

pub(super) fn cut_response() -> Item {
    developer(
        "The connection broke before your last response was complete. Go on from here; if your \
         last message was the final answer, give it again in full.",
    )
}

pub(super) fn unrunnable_call() -> Item {
    developer(
        "A tool call in your last response was not run: it was incomplete, had no id of its own, \
         or was one too many. Make it again if it is still needed.",
    )
}

pub(super) fn lost_summary() -> Item {
    developer(
        "The earlier part of the conversation is in a form that you can't read. The user's \
         messages are above; look at the files and at git for what has been done.",
    )
}

pub(super) fn dropped_conversation() -> Item {
    developer(
        "The conversation so far no longer fitted and had to be dropped. The user's messages were \
         kept as far as they fit; look at the files and at git for what has been done.",
    )
}

pub(super) fn empty_response() -> Item {
    developer(
        "Your last response was empty. Go on with the task: call a tool, or give your final \
         answer.",
    )
}

pub(super) fn repeated_call() -> Item {
    developer(
        "The same call has now failed three times in the same way. Repeating it will not help: \
         find out why it fails, try another way, or say what stands in your way.",
    )
}

pub(super) fn failed_checks(outputs: &[(&str, &str)]) -> Item {
    let mut text = String::from(
        "Before accepting the result, these required checks were run and failed. Repair the \
         cause, or say plainly in your answer why they can't pass.\n",
    );
    for (command, output) in outputs {
        text.push_str(&format!("\n$ {command}\n{}\n", output.trim_end()));
    }
    developer(&text)
}

pub(super) fn developer(text: &str) -> Item {
    Item::message("developer", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_checks_are_told_with_their_outputs() {
        let note = failed_checks(&[("make test", "1 failed\n"), ("make lint", "")]);
        let recto_protocol::View::Message { text, .. } = note.view() else {
            panic!()
        };
        insta::assert_snapshot!(text, @r"
        Before accepting the result, these required checks were run and failed. Repair the cause, or say plainly in your answer why they can't pass.

        $ make test
        1 failed

        $ make lint
        ");
    }
}
