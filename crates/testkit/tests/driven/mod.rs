//! A driver in this process, on a session that the program made: a real log, a real cell (its inside
//! is the program under test), and a handle by which a test speaks to the running turn.

use std::path::Path;
use std::sync::Arc;

use recto_cell::CellSpec;
use recto_protocol::Item;
use recto_protocol::SessionId;
use recto_protocol::ports::files::{Files, PatchApplied, PatchRefused};
use recto_protocol::ports::model::Model;
use recto_protocol::record::{DriverAttached, Outcome, Record};
use recto_runtime::{Driver, Handle, Limits, LiveEvent, Parts, TurnInput};
use recto_store::Sessions;
use recto_testkit::{Home, PATIENCE, Repository};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What the driver told of itself.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Record(String),
    ToolStarted,
    Output(String),
    Delta,
    CheckStarted,
    Compacting,
}

/// A session that is driven here.
pub(crate) struct Driven {
    driver: Driver,
    events: UnboundedReceiver<Seen>,
}

/// Takes over the newest session of a home.
pub(crate) async fn take_over(home: &Home, repo: &Repository, model: Arc<dyn Model>) -> Driven {
    let dir = home.sessions().pop().unwrap();
    let id = SessionId(dir.file_name().unwrap().to_str().unwrap().to_owned());
    // Times decide nothing here.
    let (log, records, _) = Sessions::open(&home.recto())
        .resume(&id, Box::new(|| 0))
        .unwrap();
    let settings = recto_agent::Session::replay(&records)
        .unwrap()
        .settings()
        .clone();
    let path = std::env::var("PATH").unwrap();
    let spec = CellSpec {
        exe: recto_testkit::binary(),
        hidden: vec![home.recto()],
        ..CellSpec::new(settings.policy, repo.path()).with_tools_of(home.path(), &path)
    };
    let (send, events) = unbounded_channel();
    let parts = Parts {
        chunks: Arc::new(log.chunks()),
        log: Box::new(log),
        model,
        cell: recto_cell::launch(spec).await.unwrap(),
        files: Arc::new(NoFiles),
        sink: Box::new(move |event: LiveEvent<'_>| {
            // The test may have heard enough.
            let _ = send.send(seen(event));
        }),
        limits: Limits::default(),
        max_retries: 3,
        instruction_names: Vec::new(),
        jitter: || 0.5,
        network: None,
        checkpoints: None,
    };
    let mut driver = Driver::new(parts, &records).unwrap();
    let attached = DriverAttached {
        program_version: "test".into(),
        torn_bytes: 0,
    };
    driver.record(vec![attached.into()]).await.unwrap();
    Driven { driver, events }
}

fn seen(event: LiveEvent<'_>) -> Seen {
    match event {
        LiveEvent::Record(record) => Seen::Record(record.body.kind().to_owned()),
        LiveEvent::Delta(_) => Seen::Delta,
        LiveEvent::ToolStarted(_) => Seen::ToolStarted,
        LiveEvent::ToolOutput(_, bytes) => {
            Seen::Output(String::from_utf8_lossy(bytes).into_owned())
        }
        LiveEvent::CheckStarted(_) => Seen::CheckStarted,
        LiveEvent::Compacting => Seen::Compacting,
    }
}

impl Driven {
    /// Runs a turn while `meanwhile` listens to it and speaks to it. Fails the test when it does
    /// not end.
    pub(crate) async fn turn<F>(&mut self, prompt: &str, meanwhile: F) -> Outcome
    where
        F: AsyncFnOnce(&mut UnboundedReceiver<Seen>, Handle),
    {
        let handle = self.driver.handle();
        let input = TurnInput {
            items: vec![Item::message("user", prompt)],
            schema: None,
            inbox: None,
        };
        let both = async {
            tokio::join!(
                self.driver.run_turn(input),
                meanwhile(&mut self.events, handle)
            )
            .0
        };
        tokio::time::timeout(PATIENCE, both)
            .await
            .expect("the turn does not end")
            .unwrap()
    }

    pub(crate) async fn close(self) {
        self.driver.close().await;
    }
}

/// Waits for an event.
pub(crate) async fn until(events: &mut UnboundedReceiver<Seen>, wanted: &Seen) {
    while let Some(event) = events.recv().await {
        if event == *wanted {
            return;
        }
    }
    panic!("{wanted:?} never came");
}

/// The log of a home's newest session.
pub(crate) fn records(home: &Home) -> Vec<Record> {
    let dir = home.sessions().pop().unwrap();
    let log = std::fs::read_to_string(dir.join("log.jsonl")).unwrap();
    log.lines()
        .map(|line| Record::from_line(line).unwrap())
        .collect()
}

/// No patches and no instruction files.
struct NoFiles;

impl Files for NoFiles {
    fn apply_patch(&self, _: &str, _: &str) -> Result<PatchApplied, PatchRefused> {
        Err(PatchRefused {
            message: "not here".into(),
            hint: None,
            changes: Vec::new(),
        })
    }

    fn read(&self, path: &str, _: u64) -> std::io::Result<Vec<u8>> {
        Err(std::io::Error::other(Path::new(path).display().to_string()))
    }
}
