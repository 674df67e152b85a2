//! Following attempts until they have ended.

use anyhow::anyhow;
use recto_protocol::record::{Body, Outcome};
use recto_protocol::task::{Attempt, State, Task};
use recto_protocol::{AttemptId, Record};
use serde_json::json;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinSet;

use super::super::sessions::{tell, time};
use super::{line, print, print_json};
use crate::compose::client::{Client, Connection, Live};
use crate::exit::{BUDGET, DONE, FAILED, Failure, INTERRUPTED};
use crate::output;
use crate::output::safe::safe;

/// How what happens is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// Lines on standard output.
    Lines {
        /// With what running commands say.
        output: bool,
    },
    /// Progress on standard error, and the answers on standard output at the end.
    Progress,
    /// JSON lines on standard output.
    Json,
}

impl Telling {
    /// How a command that waits tells.
    pub(super) fn waiting(json: bool) -> Self {
        match json {
            true => Self::Json,
            false => Self::Progress,
        }
    }
}

/// Follows attempts of a task from their first records on until all have ended, tells of it, and
/// gives the exit code. A signal ends the following and nothing else.
pub(super) async fn follow(
    client: &Client,
    task: &Task,
    attempts: Vec<Attempt>,
    telling: Telling,
) -> Result<u8, Failure> {
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let followed = follow_all(client, task, attempts, telling);
    let (signal, number) = tokio::select! {
        code = followed => return code,
        _ = interrupt.recv() => ("SIGINT", 2),
        _ = terminate.recv() => ("SIGTERM", 15),
    };
    let id = &task.id;
    output::tell(&format!(
        "{signal}: not followed any more, and not stopped; `recto task watch {id}` goes on\n"
    ));
    Ok(128 + number)
}

/// The same for a command that has handed something in, on the task as it is by now.
pub(super) async fn wait(
    connection: &Connection,
    attempt: &AttemptId,
    json: bool,
) -> Result<u8, Failure> {
    let client = &connection.client;
    let (task, attempts) = client.attempts(attempt.as_str()).await?;
    follow(client, &task, attempts, Telling::waiting(json)).await
}

async fn follow_all(
    client: &Client,
    task: &Task,
    attempts: Vec<Attempt>,
    telling: Telling,
) -> Result<u8, Failure> {
    let names: Vec<AttemptId> = attempts.iter().map(|one| one.id.clone()).collect();
    // Dropped with this future, and with it all that is followed.
    let mut followers = JoinSet::new();
    let (send, mut receive) = channel(64);
    for attempt in attempts {
        let client = client.clone();
        followers.spawn(follow_one(client, attempt, send.clone()));
    }
    drop(send);
    let mut teller = Teller {
        telling,
        is_several: names.len() > 1,
        answers: Vec::new(),
    };
    if telling == Telling::Json {
        print_json(&json!({ "kind": "task", "task": task }))?;
    }
    while let Some((attempt, live)) = receive.recv().await {
        teller.tell(&attempt, &live)?;
    }
    while let Some(ended) = followers.join_next().await {
        ended.map_err(Failure::unavailable)??;
    }
    let task = client.clone().task_now(&task.id).await?;
    let ended: Vec<&Attempt> = task
        .attempts
        .iter()
        .filter(|one| names.contains(&one.id))
        .collect();
    teller.end(&task, &ended)?;
    Ok(exit_code(&ended))
}

/// Follows one attempt until nothing more happens to it unless somebody says something.
async fn follow_one(
    mut client: Client,
    mut attempt: Attempt,
    send: Sender<(AttemptId, Live)>,
) -> Result<(), Failure> {
    let mut events = client.watch(&attempt.id, 0);
    loop {
        let live = events.next().await?;
        let mut is_last = false;
        if let Live::Record(record) = &live {
            let says_so = matches!(&record.body, Body::StateChanged(to) if to.state.has_ended());
            // Whether it is the end is the service's to say: a follow-up may have come meanwhile.
            if says_so && record.seq + 1 >= attempt.records {
                attempt = now(&mut client, &attempt.id).await?;
            }
            is_last = attempt.state.has_ended() && record.seq + 1 >= attempt.records;
        }
        // Nobody hears it any more: the command ends.
        if send.send((attempt.id.clone(), live)).await.is_err() || is_last {
            return Ok(());
        }
    }
}

/// The attempt as it is now.
async fn now(client: &mut Client, id: &AttemptId) -> Result<Attempt, Failure> {
    let gone = || Failure::usage(anyhow!("there is no attempt {id} any more"));
    let (task, _) = id.parts().ok_or_else(gone)?;
    let task = client.task_now(&task).await?;
    let mut attempts = task.attempts.into_iter();
    attempts.find(|one| &one.id == id).ok_or_else(gone)
}

/// Tells what happens.
struct Teller {
    telling: Telling,
    is_several: bool,
    answers: Vec<(AttemptId, String)>,
}

impl Teller {
    fn tell(&mut self, attempt: &AttemptId, live: &Live) -> Result<(), Failure> {
        match (live, self.telling) {
            (Live::Record(record), Telling::Json) => {
                let line = record.to_line();
                let attempt = json!(attempt);
                print(&format!(
                    "{{\"kind\":\"record\",\"attempt\":{attempt},\"record\":{line}}}\n"
                ))
            }
            (Live::Record(record), telling) => {
                self.keep_answer(attempt, record);
                let Some(text) = self.line(attempt, record) else {
                    return Ok(());
                };
                match telling {
                    Telling::Progress => output::tell(&text),
                    Telling::Lines { .. } | Telling::Json => print(&text)?,
                }
                Ok(())
            }
            (Live::Output(bytes), Telling::Lines { output: true }) => {
                print(&safe(&String::from_utf8_lossy(bytes)))
            }
            (Live::Output(_), _) => Ok(()),
        }
    }

    fn line(&self, attempt: &AttemptId, record: &Record) -> Option<String> {
        let told = tell(record)?;
        let number = match attempt.parts() {
            Some((_, number)) if self.is_several => format!("#{number}"),
            _ => String::new(),
        };
        Some(format!(
            "{number}{:>5}  {}  {told}\n",
            record.seq,
            time(record.at)
        ))
    }

    fn keep_answer(&mut self, attempt: &AttemptId, record: &Record) {
        if let Body::TurnEnded(ended) = &record.body
            && let Outcome::Completed { answer } = &ended.outcome
        {
            self.answers.retain(|(known, _)| known != attempt);
            self.answers.push((attempt.clone(), answer.clone()));
        }
    }

    fn end(&self, task: &Task, attempts: &[&Attempt]) -> Result<(), Failure> {
        if self.telling == Telling::Json {
            return print_json(&json!({ "kind": "ended", "task": task }));
        }
        let told: String = attempts.iter().map(|one| line::attempt(one)).collect();
        if self.telling != Telling::Progress {
            return print(&told);
        }
        output::tell(&told);
        let with_work = attempts.iter().find(|one| one.standing.commit.is_some());
        if let Some(attempt) = with_work {
            output::tell(&format!("recto task diff {} shows the work\n", attempt.id));
        }
        let mut answers = self.answers.clone();
        answers.sort_by_key(|(attempt, _)| attempt.parts().map(|(_, number)| number));
        for (attempt, answer) in &answers {
            if self.is_several {
                print(&format!("{attempt}:\n"))?;
            }
            print(&format!("{}\n", safe(answer.trim_end())))?;
        }
        Ok(())
    }
}

/// Done where one attempt is, else as the first one ended.
fn exit_code(attempts: &[&Attempt]) -> u8 {
    let code = |attempt: &Attempt| match attempt.state {
        State::Done if attempt.standing.checks_failed > 0 => FAILED,
        State::Done => DONE,
        State::OutOfBudget => BUDGET,
        State::Cancelled => INTERRUPTED,
        State::Failed | State::Queued | State::Preparing | State::Running | State::Awaiting => {
            FAILED
        }
    };
    let codes: Vec<u8> = attempts.iter().map(|one| code(one)).collect();
    match codes.contains(&DONE) {
        true => DONE,
        false => codes.first().copied().unwrap_or(FAILED),
    }
}
