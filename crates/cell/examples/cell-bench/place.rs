//! Where cells are made, and the ones that are kept.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use recto_cell::{CellSpec, launch};
use recto_protocol::policy::Policy;
use recto_protocol::ports::cell::{Cell, CellError, Command, ExitStatus, Process, ProcessEvent};

/// What one measurement leaves to the next.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) tree: PathBuf,
    /// A cell for commands, made with the first of them.
    pub(crate) running: Option<Arc<dyn Cell>>,
    pub(crate) kept: Vec<Arc<dyn Cell>>,
}

impl Place {
    /// A cell like those that the product makes: with the user's tools.
    pub(crate) async fn cell(&self) -> Result<Arc<dyn Cell>, CellError> {
        let mut spec = CellSpec::new(Policy::default(), &self.tree);
        if let (Ok(home), Ok(path)) = (std::env::var("HOME"), std::env::var("PATH")) {
            spec = spec.with_tools_of(home.as_ref(), &path);
        }
        launch(spec).await
    }

    /// The cell for commands.
    pub(crate) async fn running(&mut self) -> Result<Arc<dyn Cell>, CellError> {
        if let Some(cell) = &self.running {
            return Ok(Arc::clone(cell));
        }
        let cell = self.cell().await?;
        Ok(Arc::clone(self.running.insert(cell)))
    }

    /// Closes everything that is kept.
    pub(crate) async fn release(&mut self) {
        for cell in self.kept.drain(..).chain(self.running.take()) {
            cell.close().await;
        }
    }
}

/// Starts a command.
pub(crate) async fn start(cell: &dyn Cell, argv: &[&str]) -> Result<Process, CellError> {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    cell.spawn(Command {
        argv,
        ..Command::default()
    })
    .await
}

/// Runs a command to its end, which must be a good one.
pub(crate) async fn run(cell: &dyn Cell, argv: &[&str]) -> Result<(), CellError> {
    let mut process = start(cell, argv).await?;
    while let Some(event) = process.events.next().await {
        match event {
            ProcessEvent::Exited(ExitStatus::Code(0)) => return Ok(()),
            ProcessEvent::Exited(status) => {
                return Err(CellError::Protocol(format!(
                    "{argv:?} ended with {status:?}"
                )));
            }
            _ => {}
        }
    }
    Err(CellError::Gone)
}

/// Reads output until a text stands so often in it.
pub(crate) async fn wait_for(
    process: &mut Process,
    text: &str,
    times: usize,
) -> Result<(), CellError> {
    let mut output = String::new();
    while output.matches(text).count() < times {
        match process.events.next().await {
            Some(ProcessEvent::Output(bytes)) => output += &String::from_utf8_lossy(&bytes),
            Some(ProcessEvent::Exited(_)) | None => return Err(CellError::Gone),
            Some(_) => {}
        }
    }
    Ok(())
}
