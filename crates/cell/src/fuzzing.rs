//! Both receiving sides of the protocol as plain functions of bytes, for fuzzing. They check what
//! must hold by assertions.

#![allow(clippy::panic)]

use std::collections::HashMap;

use crate::harness::conversation::{Answer, Conversation, Heard, Question, Said, Speaker};
use crate::wire::files::{MAX_NAME, PAGE, names};
use crate::wire::{Decoder, Event, HEADER, MAX_EVENT, MAX_REQUEST, Request};

/// How many commands, and how many questions, a harness has under way in [`from_cell`].
const UNDER_WAY: u32 = 4;
/// How much output each of those commands may have.
const CAP: u64 = 1 << 16;
/// How much each of those reads asks for.
const READ: u32 = 1 << 10;

/// Everything that a hostile cell can say to a harness that has four commands under way (ids 0 to
/// 3, two inputs each) and has asked each kind of question (ids 4 to 9). The first byte says in
/// pieces of which size the rest arrives, and whether a relay speaks.
pub fn from_cell(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let speaker = if cut % 2 == 0 {
        Speaker::Relay
    } else {
        Speaker::Cell
    };
    let questions = [
        Question::KillAll,
        Question::Stats,
        Question::Stat,
        Question::Read(READ),
        Question::List,
        Question::Change,
    ];
    let mut conversation = Conversation::new(speaker);
    for id in 0..UNDER_WAY {
        conversation.command(id, CAP);
        assert!(conversation.input(id) && conversation.input(id));
    }
    for (id, question) in (UNDER_WAY..).zip(questions) {
        conversation.question(id, question);
    }
    let mut decoder = Decoder::new(MAX_EVENT);
    let mut story = Story::default();
    for piece in stream.chunks(usize::from(*cut).max(1)) {
        decoder.buffer().extend_from_slice(piece);
        loop {
            let frame = match decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return,
            };
            if let Ok(event) = Event::read(&frame) {
                stays_itself(|out| event.put(out, frame.id), MAX_EVENT * 2);
            }
            match conversation.hear(&frame) {
                Ok(heard) => story.check(heard),
                // The cell is ended here.
                Err(_) => return,
            }
        }
        assert!(decoder.buffer().len() < HEADER + MAX_EVENT + piece.len());
    }
}

/// Everything that can arrive at a cell's PID 1.
pub fn from_harness(input: &[u8]) {
    let mut decoder = Decoder::new(MAX_REQUEST);
    decoder.buffer().extend_from_slice(input);
    while let Ok(Some(frame)) = decoder.next() {
        let Ok(request) = Request::read(&frame) else {
            return;
        };
        stays_itself(|out| request.put(out, frame.id), MAX_REQUEST * 4);
        let path = match &request {
            Request::Stat(message) => &message.path,
            Request::Read(message) => &message.path,
            Request::Write(message, _) => &message.path,
            Request::List(message) => &message.path,
            _ => continue,
        };
        for name in names(path.as_bytes()).unwrap_or_default() {
            let name = name.as_encoded_bytes();
            assert!(!matches!(name, b"" | b"." | b".."));
            assert!(!name.contains(&b'/') && !name.contains(&0));
        }
    }
}

/// What is written is read back, and written again the same. Texts may grow by being written: the
/// limit is for this check alone.
fn stays_itself(put: impl Fn(&mut Vec<u8>), limit: usize) {
    let mut once = Vec::new();
    put(&mut once);
    let mut decoder = Decoder::new(limit);
    decoder.buffer().extend_from_slice(&once);
    let frame = decoder.next();
    let Ok(Some(frame)) = frame else {
        panic!("{frame:?}");
    };
    let mut twice = Vec::new();
    if let Ok(event) = Event::read(&frame) {
        event.put(&mut twice, frame.id);
    } else if let Ok(request) = Request::read(&frame) {
        request.put(&mut twice, frame.id);
    }
    assert_eq!(once, twice);
}

/// What has been heard so far, counted independently of the conversation.
#[derive(Default)]
struct Story {
    commands: HashMap<u32, Told>,
    answers: u32,
}

#[derive(Default)]
struct Told {
    started: bool,
    over: bool,
    output: u64,
    dropped: u32,
    inputs: u32,
    limits: u32,
}

impl Story {
    fn check(&mut self, heard: Heard) {
        match heard {
            Heard::Command(id, said) => {
                assert!(id < UNDER_WAY);
                self.commands.entry(id).or_default().check(said);
            }
            Heard::Answer(id, answer) => {
                self.answers += 1;
                assert!((UNDER_WAY..UNDER_WAY + 6).contains(&id) && self.answers <= 6);
                match answer {
                    Answer::Data(_, bytes) => assert!(bytes.len() <= READ as usize),
                    Answer::List(page) => {
                        assert!(page.entries.len() <= PAGE);
                        for (name, _) in page.entries {
                            assert!(name.as_bytes().len() <= MAX_NAME);
                            assert!(!name.as_bytes().contains(&b'/'));
                        }
                    }
                    Answer::KilledAll
                    | Answer::Stats(_)
                    | Answer::Stat(_)
                    | Answer::Done
                    | Answer::Refused(_) => {}
                }
            }
        }
    }
}

impl Told {
    fn check(&mut self, said: Said) {
        assert!(!self.over);
        match said {
            Said::Started => {
                assert!(!self.started);
                self.started = true;
            }
            Said::Reached(_) | Said::Limited(_) => {
                self.limits += 1;
                assert!(self.started && self.limits <= 64);
            }
            Said::NotStarted(_) | Said::Refused(_) => {
                assert!(!self.started);
                self.over = true;
            }
            Said::Output(bytes) => {
                assert!(self.started && !bytes.is_empty());
                self.output += bytes.len() as u64;
                assert!(self.output <= CAP);
            }
            Said::Dropped(_) => {
                self.dropped += 1;
                assert!(self.started && self.dropped == 1);
            }
            Said::InputTaken(_) => {
                self.inputs += 1;
                assert!(self.inputs <= 2);
            }
            Said::Exited(_) => {
                assert!(self.started);
                self.over = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Dropped, Exit, InputTaken, KilledAll, Started};

    /// Events that often are in order, so that the ones that are not come at every point.
    fn event() -> impl Strategy<Value = (u32, Event)> {
        let event = prop_oneof![
            Just(Event::Started(Started { pid: 2 })),
            (0u64..4, 0usize..4).prop_map(|(at, n)| Event::Output(at, Bytes::from(vec![7; n]))),
            (0u64..3).prop_map(|bytes| Event::Dropped(Dropped { bytes })),
            any::<bool>().prop_map(|ok| Event::InputTaken(InputTaken { ok })),
            Just(Event::Exited(Exit::Code(0))),
            Just(Event::KilledAll(KilledAll { reaped: 1 })),
            Just(Event::Done),
            (0usize..2000).prop_map(|n| Event::Data(9, Bytes::from(vec![7; n]))),
        ];
        (0u32..11, event)
    }

    proptest! {
        #[test]
        fn a_hostile_cell_is_ended_or_followed(events in prop::collection::vec(event(), 0..30), cut in any::<u8>()) {
            let mut input = vec![cut];
            for (id, event) in events {
                event.put(&mut input, id);
            }
            from_cell(&input);
        }

        #[test]
        fn any_bytes_are_taken(input in prop::collection::vec(any::<u8>(), 0..200)) {
            from_cell(&input);
            from_harness(&input);
        }
    }
}
