//! What a finished response means for the turn.

use recto_protocol::Item;
use recto_protocol::ports::model::FinishReason;

use super::history::Kind;
use super::{Session, notes};

/// Responses without content in a row after which the turn fails.
const MAX_EMPTY: u32 = 3;
/// Responses cut by the output limit in a row after which the turn fails.
const MAX_CONTINUED: u32 = 10;

impl Session {
    /// Decides what a finished response means for the turn.
    pub(super) fn judge(&mut self, reason: &FinishReason, end_turn: Option<bool>) {
        let answer = self.step.take_answer();
        let refusal = self.step.refusal.take();
        let unrunnable = std::mem::take(&mut self.step.unrunnable);
        let Some(turn) = &mut self.turn else { return };
        if let Some(refusal) = refusal {
            return turn.fail("refusal", format!("The model refused: {refusal}"));
        }
        let cut = match reason {
            FinishReason::Complete => false,
            FinishReason::OutputLimit => true,
            FinishReason::ContentFilter => {
                let message = "The provider's content filter stopped the answer.";
                return turn.fail("content_filter", message);
            }
            FinishReason::Other(word) => {
                let message = format!("The provider ended the answer early: {word}.");
                return turn.fail("incomplete", message);
            }
        };
        if !self.step.calls.is_empty() {
            turn.empty = 0;
            turn.continued = 0;
            turn.parts.clear();
            if unrunnable {
                self.note(notes::unrunnable_call());
            }
        } else if unrunnable {
            self.came_to_nothing(notes::unrunnable_call());
        } else if cut {
            self.cut_short(answer);
        } else if let Some(answer) = answer {
            self.answered(answer, end_turn);
        } else {
            self.came_to_nothing(notes::empty_response());
        }
    }

    /// A response neither called a tool nor said anything.
    fn came_to_nothing(&mut self, note: Item) {
        let Some(turn) = &mut self.turn else { return };
        turn.empty += 1;
        if turn.empty >= MAX_EMPTY {
            turn.fail(
                "empty",
                format!("The model gave {MAX_EMPTY} empty responses in a row."),
            );
        } else {
            self.note(note);
        }
    }

    /// The output limit cut a response without calls; the model is asked to go on.
    fn cut_short(&mut self, part: Option<String>) {
        let unseen = self.has_unseen_message();
        let Some(turn) = &mut self.turn else { return };
        turn.continued += 1;
        turn.parts.extend(part);
        if turn.continued > MAX_CONTINUED {
            turn.fail(
                "output_limit",
                format!("The model reached its output limit {MAX_CONTINUED} times in a row."),
            );
        } else if unseen {
            turn.parts.clear();
        } else {
            self.note(notes::continue_output());
        }
    }

    fn answered(&mut self, answer: String, end_turn: Option<bool>) {
        let unseen = self.has_unseen_message();
        let Some(turn) = &mut self.turn else { return };
        turn.empty = 0;
        let goes_on = end_turn == Some(false) && turn.continued < MAX_CONTINUED;
        turn.continued = if goes_on { turn.continued + 1 } else { 0 };
        if unseen || goes_on {
            turn.parts.clear();
        } else {
            turn.parts.push(answer);
            turn.answered = true;
            self.take_queued();
        }
    }

    /// Whether a user's message came while the response streamed.
    fn has_unseen_message(&self) -> bool {
        self.held.iter().any(|held| held.kind == Kind::User)
    }
}
