//! Runs the required checks that the model left undone.

use recto_protocol::ports::cell::{CellError, Command, ExitStatus};
use recto_protocol::record::CheckFinished;

use super::{Driver, DriverError, milliseconds};
use crate::live::LiveEvent;
use crate::tools::{StartError, run_to_end};

impl Driver {
    /// Runs each command in the cell, one after the other, and records it. Stops early when a user
    /// speaks, since that may change what is due.
    pub(super) async fn run_checks(&mut self, commands: Vec<String>) -> Result<(), DriverError> {
        for command in commands {
            self.live.emit(LiveEvent::CheckStarted(&command));
            let spec = Command {
                argv: vec!["sh".into(), "-c".into(), command.clone()],
                cwd: Some(self.session.settings().root.clone()),
                ..Command::default()
            };
            let timeout = self.tools.limits.check_timeout;
            let (cell, chunks, live) = (&*self.tools.cell, &*self.tools.chunks, &self.live);
            let check = run_to_end(cell, chunks, live, spec, &command, timeout);
            let ended = tokio::select! {
                biased;
                Some(control) = self.controls.recv() => {
                    self.tools.stop_all().await;
                    return self.control(control).await;
                }
                () = super::sleep_until(self.deadline) => {
                    self.tools.stop_all().await;
                    return self.out_of_time().await;
                }
                ended = check => ended,
            };
            let finished = match ended {
                // It is run again once there is a cell: how it ends is not known.
                Ok(ended) if ended.status == Some(ExitStatus::CellGone) => {
                    return Err(CellError::Gone.into());
                }
                Ok(ended) => CheckFinished {
                    command,
                    exit_code: ended.exit_code(),
                    chunk: ended.chunk,
                    output: ended.output,
                    duration_ms: milliseconds(ended.duration),
                },
                Err(StartError::Store(error)) => return Err(error.into()),
                Err(StartError::Cell(CellError::Gone)) => return Err(CellError::Gone.into()),
                Err(StartError::Cell(error)) => CheckFinished {
                    command,
                    exit_code: None,
                    chunk: self.tools.chunks.create()?.id(),
                    output: format!("the check could not be run: {error}"),
                    duration_ms: 0,
                },
            };
            self.record(vec![finished.into()]).await?;
        }
        Ok(())
    }
}
