//! What a cell may say, given what it was asked: the whole judgement over hostile input, without
//! IO. Everything that is kept per command or question is bounded by what the harness has asked.

use std::collections::HashMap;

use bytes::Bytes;

use crate::wire::files::{FileRefused, ListReply, MAX_PATH, PAGE, StatReply};
use crate::wire::{self, Event, Exit, Frame, Limited, Reached, SpawnError, StatsReply};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// A cell's PID 1. What it says of refusals and limits are numbers; the words are ours.
    Cell,
    /// Another process of this program that holds the cell, and speaks in words.
    Relay,
}

/// How often a command may reach limits.
const MAX_LIMITED: u32 = 64;

/// Follows one cell's side of the protocol, from the greeting on.
pub(crate) struct Conversation {
    speaker: Speaker,
    commands: HashMap<u32, Talk>,
    /// Input that was under way when its command ended: it is answered all the same.
    late: HashMap<u32, usize>,
    questions: HashMap<u32, Question>,
}

/// What is known of a command that has not ended.
struct Talk {
    started: bool,
    /// Output bytes that may still come: they wait in memory until they are read.
    left: u64,
    /// Where the next output must begin.
    offset: u64,
    dropped: bool,
    /// How often it was told of a limit.
    limited: u32,
    /// Input that is not yet acknowledged.
    inputs: usize,
}

/// Something that has exactly one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    KillAll,
    Stats,
    Stat,
    /// At most so many bytes.
    Read(u32),
    List,
    /// A change to files.
    Change,
}

/// What a cell has said, found to be in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// About a command.
    Command(u32, Said),
    /// The answer to a question.
    Answer(u32, Answer),
}

/// What is said about a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Started,
    /// It is over before it has begun.
    NotStarted(SpawnError),
    /// The same, in a relay's words.
    Refused(String),
    /// A limit was reached.
    Reached(Reached),
    /// The same, in a relay's words.
    Limited(Limited),
    Output(Bytes),
    Dropped(u64),
    InputTaken(bool),
    /// It is over.
    Exited(Exit),
}

/// An answer to a [`Question`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    KilledAll,
    Stats(StatsReply),
    Stat(StatReply),
    Data(u64, Bytes),
    List(ListReply),
    Done,
    Refused(FileRefused),
}

/// What a cell did that it must not do. It ends the cell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    #[error(transparent)]
    Frame(#[from] wire::Error),
    #[error("an event of an unknown command")]
    UnknownCommand,
    #[error("an answer to no question")]
    NoQuestion,
    #[error("an answer that does not fit its question")]
    WrongAnswer,
    #[error("a greeting after the greeting")]
    Greeting,
    #[error("events of a command in the wrong order")]
    Order,
    #[error("words where numbers belong")]
    Words,
    #[error("too many limits reached")]
    Limits,
    #[error("output of a command that was paused")]
    Unread,
    #[error("output out of order or beyond its cap")]
    Output,
}

impl Conversation {
    pub(crate) fn new(speaker: Speaker) -> Self {
        Self {
            speaker,
            commands: HashMap::new(),
            late: HashMap::new(),
            questions: HashMap::new(),
        }
    }

    /// Notes that a command was asked for, and how much output it may have.
    pub(crate) fn command(&mut self, id: u32, most: u64) {
        let talk = Talk {
            started: false,
            left: most,
            offset: 0,
            dropped: false,
            limited: 0,
            inputs: 0,
        };
        self.commands.insert(id, talk);
    }

    /// Notes that input was sent to a command. False when it has ended.
    pub(crate) fn input(&mut self, id: u32) -> bool {
        let talk = self.commands.get_mut(&id);
        talk.map(|talk| talk.inputs += 1).is_some()
    }

    /// Notes a question.
    pub(crate) fn question(&mut self, id: u32, question: Question) {
        self.questions.insert(id, question);
    }

    /// Takes the next frame in.
    pub(crate) fn hear(&mut self, frame: &Frame) -> Result<Heard, Breach> {
        let (id, event) = (frame.id, Event::read(frame)?);
        match event {
            Event::Hello(_) | Event::Launched(_) | Event::SetupError(_) => Err(Breach::Greeting),
            Event::Refused(_) | Event::Limited(_) if self.speaker == Speaker::Cell => {
                Err(Breach::Words)
            }
            Event::Started(_)
            | Event::SpawnError(_)
            | Event::Refused(_)
            | Event::Reached(_)
            | Event::Limited(_)
            | Event::Output(..)
            | Event::Dropped(_)
            | Event::InputTaken(_)
            | Event::Exited(_) => self.said(id, event).map(|said| Heard::Command(id, said)),
            Event::KilledAll(_) => self.answer(id, Answer::KilledAll),
            Event::Stats(stats) => self.answer(id, Answer::Stats(stats)),
            Event::Stat(stat) => self.answer(id, Answer::Stat(stat)),
            Event::Data(size, bytes) => self.answer(id, Answer::Data(size, bytes)),
            Event::List(page) => self.answer(id, Answer::List(page)),
            Event::Done => self.answer(id, Answer::Done),
            Event::FileRefused(refused) => self.answer(id, Answer::Refused(refused)),
        }
    }

    fn said(&mut self, id: u32, event: Event) -> Result<Said, Breach> {
        if let (Event::InputTaken(taken), Some(late)) = (&event, self.late.get_mut(&id)) {
            *late -= 1;
            if *late == 0 {
                self.late.remove(&id);
            }
            return Ok(Said::InputTaken(taken.ok));
        }
        let talk = self.commands.get_mut(&id).ok_or(Breach::UnknownCommand)?;
        let begins = matches!(
            event,
            Event::Started(_) | Event::SpawnError(_) | Event::Refused(_)
        );
        // Input may be refused before the command's start is known.
        let any_time = matches!(event, Event::InputTaken(_));
        if begins == talk.started && !any_time {
            return Err(Breach::Order);
        }
        match event {
            Event::Started(_) => {
                talk.started = true;
                Ok(Said::Started)
            }
            Event::SpawnError(error) => {
                self.commands.remove(&id);
                Ok(Said::NotStarted(error))
            }
            Event::Refused(refused) => {
                self.commands.remove(&id);
                Ok(Said::Refused(refused.reason))
            }
            Event::Reached(reached) => talk.limit().map(|()| Said::Reached(reached)),
            Event::Limited(limited) => talk.limit().map(|()| Said::Limited(limited)),
            Event::Output(offset, bytes) => talk.output(offset, bytes),
            Event::Dropped(dropped) => talk.drop_bytes(dropped.bytes),
            Event::InputTaken(taken) => {
                talk.inputs = talk.inputs.checked_sub(1).ok_or(Breach::NoQuestion)?;
                Ok(Said::InputTaken(taken.ok))
            }
            Event::Exited(exit) => {
                let inputs = self.commands.remove(&id).map_or(0, |talk| talk.inputs);
                if inputs > 0 {
                    self.late.insert(id, inputs);
                }
                Ok(Said::Exited(exit))
            }
            Event::Hello(_)
            | Event::Launched(_)
            | Event::SetupError(_)
            | Event::KilledAll(_)
            | Event::Stats(_)
            | Event::Stat(_)
            | Event::Data(..)
            | Event::List(_)
            | Event::Done
            | Event::FileRefused(_) => Err(Breach::Order),
        }
    }

    fn answer(&mut self, id: u32, answer: Answer) -> Result<Heard, Breach> {
        let question = self.questions.remove(&id).ok_or(Breach::NoQuestion)?;
        if fits(question, &answer) {
            Ok(Heard::Answer(id, answer))
        } else {
            Err(Breach::WrongAnswer)
        }
    }
}

impl Talk {
    fn output(&mut self, offset: u64, bytes: Bytes) -> Result<Said, Breach> {
        let len = bytes.len() as u64;
        if offset != self.offset || len > self.left || len == 0 {
            return Err(Breach::Output);
        }
        self.offset = offset.checked_add(len).ok_or(Breach::Output)?;
        self.left -= len;
        Ok(Said::Output(bytes))
    }

    fn limit(&mut self) -> Result<(), Breach> {
        self.limited += 1;
        if self.limited > MAX_LIMITED {
            return Err(Breach::Limits);
        }
        Ok(())
    }

    /// Bytes are dropped once: between the first and the last ones that are kept.
    fn drop_bytes(&mut self, bytes: u64) -> Result<Said, Breach> {
        if self.dropped || bytes == 0 {
            return Err(Breach::Output);
        }
        self.dropped = true;
        self.offset = self.offset.checked_add(bytes).ok_or(Breach::Output)?;
        Ok(Said::Dropped(bytes))
    }
}

fn fits(question: Question, answer: &Answer) -> bool {
    match (question, answer) {
        (Question::KillAll, Answer::KilledAll)
        | (Question::Stats, Answer::Stats(_))
        | (Question::Change, Answer::Done)
        | (
            Question::Stat | Question::Read(_) | Question::List | Question::Change,
            Answer::Refused(_),
        ) => true,
        (Question::Stat, Answer::Stat(stat)) => {
            let target = stat.target.as_ref();
            target.is_none_or(|target| target.as_bytes().len() <= MAX_PATH)
                && stat.modified.1 < 1_000_000_000
        }
        (Question::Read(most), Answer::Data(_, bytes)) => bytes.len() <= most as usize,
        (Question::List, Answer::List(page)) => {
            page.entries.len() <= PAGE
                && page.entries.iter().all(|(name, _)| name.is_entry())
                // A page of nothing that is followed by another never ends.
                && (page.next.is_none() || !page.entries.is_empty())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::files::{Kind, Name};
    use crate::wire::{Decoder, Dropped, InputTaken, KilledAll, MAX_EVENT, Started};

    /// Says these events of command 1 (cap 10, one input sent) and answers of question 2.
    fn judged(question: Question, events: &[(u32, Event)]) -> Result<usize, Breach> {
        let mut talk = Conversation::new(Speaker::Cell);
        talk.command(1, 10);
        assert!(talk.input(1));
        talk.question(2, question);
        let mut bytes = Vec::new();
        for (id, event) in events {
            event.put(&mut bytes, *id);
        }
        let mut decoder = Decoder::new(MAX_EVENT);
        decoder.buffer().extend_from_slice(&bytes);
        let mut heard = 0;
        while let Some(frame) = decoder.next()? {
            talk.hear(&frame)?;
            heard += 1;
        }
        Ok(heard)
    }

    fn started() -> (u32, Event) {
        (1, Event::Started(Started { pid: 2 }))
    }

    fn output(offset: u64, text: &'static str) -> (u32, Event) {
        (
            1,
            Event::Output(offset, Bytes::from_static(text.as_bytes())),
        )
    }

    fn dropped(bytes: u64) -> (u32, Event) {
        (1, Event::Dropped(Dropped { bytes }))
    }

    fn exited() -> (u32, Event) {
        (1, Event::Exited(Exit::Code(0)))
    }

    fn taken() -> (u32, Event) {
        (1, Event::InputTaken(InputTaken { ok: true }))
    }

    #[test]
    fn what_a_command_may_say() {
        let check = |events: &[(u32, Event)], expected: Result<usize, Breach>| {
            assert_eq!(judged(Question::Stats, events), expected, "{events:?}");
        };
        check(
            &[
                started(),
                output(0, "abc"),
                taken(),
                dropped(4),
                output(7, "d"),
                exited(),
            ],
            Ok(6),
        );
        check(&[output(0, "a")], Err(Breach::Order));
        check(&[exited()], Err(Breach::Order));
        check(&[started(), started()], Err(Breach::Order));
        check(&[started(), output(1, "a")], Err(Breach::Output));
        check(&[started(), output(0, "")], Err(Breach::Output));
        check(&[started(), output(0, "01234567890")], Err(Breach::Output));
        check(&[started(), dropped(1), dropped(1)], Err(Breach::Output));
        check(
            &[started(), dropped(u64::MAX), output(u64::MAX, "a")],
            Err(Breach::Output),
        );
        check(&[started(), taken(), taken()], Err(Breach::NoQuestion));
        check(
            &[started(), exited(), exited()],
            Err(Breach::UnknownCommand),
        );
        // Input and the end may cross on their way.
        check(&[started(), exited(), taken()], Ok(3));
        check(
            &[started(), exited(), taken(), taken()],
            Err(Breach::UnknownCommand),
        );
        check(
            &[started(), taken(), exited(), taken()],
            Err(Breach::UnknownCommand),
        );
        check(
            &[(3, Event::Started(Started { pid: 2 }))],
            Err(Breach::UnknownCommand),
        );
    }

    #[test]
    fn what_an_answer_may_be() {
        let check = |question: Question, event: Event, expected: Result<usize, Breach>| {
            let shown = format!("{question:?} {event:?}");
            assert_eq!(judged(question, &[(2, event)]), expected, "{shown}");
        };
        let killed = || Event::KilledAll(KilledAll { reaped: 1 });
        let page = |name: &str, next| {
            Event::List(ListReply {
                entries: vec![(Name::Text(name.into()), Kind::File)],
                next,
            })
        };
        let empty = |next| {
            Event::List(ListReply {
                entries: Vec::new(),
                next,
            })
        };
        let data = |text: &'static str| Event::Data(9, Bytes::from_static(text.as_bytes()));
        check(Question::KillAll, killed(), Ok(1));
        check(Question::Stats, killed(), Err(Breach::WrongAnswer));
        check(Question::Read(3), data("abc"), Ok(1));
        check(Question::Read(3), data("abcd"), Err(Breach::WrongAnswer));
        check(Question::Stat, data(""), Err(Breach::WrongAnswer));
        check(Question::List, page("a", Some(1)), Ok(1));
        check(Question::List, empty(None), Ok(1));
        check(Question::List, empty(Some(1)), Err(Breach::WrongAnswer));
        for name in ["", ".", "..", "a/b", "a\0"] {
            check(Question::List, page(name, None), Err(Breach::WrongAnswer));
        }
        check(Question::Change, Event::Done, Ok(1));
        check(Question::KillAll, Event::Done, Err(Breach::WrongAnswer));
        assert_eq!(
            judged(Question::KillAll, &[(2, killed()), (2, killed())]),
            Err(Breach::NoQuestion)
        );
        assert_eq!(
            judged(Question::KillAll, &[(5, killed())]),
            Err(Breach::NoQuestion)
        );
    }
}
