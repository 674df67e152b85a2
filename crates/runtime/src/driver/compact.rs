//! Makes a long conversation shorter.

use std::time::Duration;

use futures_util::StreamExt as _;
use recto_agent::{CompactRequest, prompts};
use recto_protocol::ports::model::{ErrorKind, FinishReason, ModelError, ModelEvent};
use recto_protocol::record::{Compacted, CompactionFailed, StepFailed, Warning};
use recto_protocol::usage::Usage;
use recto_protocol::{Item, View};

use super::{Driver, DriverError, milliseconds};
use crate::live::LiveEvent;

/// What a compaction's response gave.
struct Gathered {
    items: Vec<Item>,
    usage: Option<Usage>,
    error: Option<ModelError>,
    reason: Option<FinishReason>,
}

impl Driver {
    /// Asks for a compaction and records it, or why there was none.
    pub(super) async fn compact(&mut self, compact: CompactRequest) -> Result<(), DriverError> {
        self.live.emit(LiveEvent::Compacting);
        let mut attempt = 0;
        loop {
            let response = gather(self.model.respond(compact.request.clone()));
            let mut gathered = tokio::select! {
                biased;
                Some(control) = self.controls.recv() => return self.control(control).await,
                () = super::sleep_until(self.deadline) => return self.out_of_time().await,
                gathered = response => gathered,
            };
            let wait = gathered
                .error
                .as_mut()
                .and_then(|error| self.retry_in(error, attempt));
            attempt += 1;
            let (Some(wait), Some(error)) = (wait, &gathered.error) else {
                return self.compacted(compact.by_provider, gathered).await;
            };
            self.record(vec![retried(error, wait).into()]).await?;
            tokio::select! {
                biased;
                Some(control) = self.controls.recv() => return self.control(control).await,
                () = super::sleep_until(self.deadline) => return self.out_of_time().await,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn compacted(
        &mut self,
        by_provider: bool,
        gathered: Gathered,
    ) -> Result<(), DriverError> {
        let failure = gathered
            .error
            .as_ref()
            .map(|error| failure(error, by_provider));
        if let (Some(error), Some(None)) = (&gathered.error, &failure) {
            let failed = StepFailed {
                error: error.clone(),
                retry_in: None,
            };
            return self.record(vec![failed.into()]).await;
        }
        let cost = self.cost(gathered.usage.as_ref());
        let usage = gathered.usage.unwrap_or_default();
        let items = match failure.flatten() {
            Some(reason) => Err(reason),
            None if by_provider => provider_item(gathered.items),
            None => summary(&gathered),
        };
        let body = match items {
            Ok(items) => Compacted { items, usage, cost }.into(),
            Err(reason) => CompactionFailed {
                reason,
                usage,
                cost,
            }
            .into(),
        };
        self.record(vec![body]).await
    }
}

/// What users are told of a request for a compaction that is sent again.
fn retried(error: &ModelError, wait: Duration) -> Warning {
    Warning {
        code: "compaction_retry".into(),
        message: format!(
            "shortening the conversation failed and is tried again in {} ms: {error}",
            milliseconds(wait)
        ),
    }
}

/// Why there is no compaction, where another way to one is left. None when the model can't be
/// reached: that is no reason to throw old outputs away.
fn failure(error: &ModelError, by_provider: bool) -> Option<String> {
    match error.kind {
        ErrorKind::ContextLength => {
            Some("the conversation is too long even for a summary".to_owned())
        }
        // Not every endpoint that claims it compacts. A summary is asked for next.
        ErrorKind::Refused | ErrorKind::NotFound if by_provider => {
            Some(format!("the provider refused to compact: {error}"))
        }
        ErrorKind::Connection
        | ErrorKind::RateLimit
        | ErrorKind::Server
        | ErrorKind::Stream
        | ErrorKind::Auth
        | ErrorKind::NotFound
        | ErrorKind::Refused
        | ErrorKind::TooLarge
        | ErrorKind::Script => None,
    }
}

async fn gather(
    mut events: futures_util::stream::BoxStream<'static, Result<ModelEvent, ModelError>>,
) -> Gathered {
    let mut gathered = Gathered {
        items: Vec::new(),
        usage: None,
        error: None,
        reason: None,
    };
    while let Some(event) = events.next().await {
        match event {
            Ok(ModelEvent::Item(item)) => gathered.items.push(item),
            Ok(ModelEvent::Finished(finish)) => {
                gathered.usage = finish.usage;
                gathered.reason = Some(finish.reason);
                return gathered;
            }
            Ok(ModelEvent::Started | ModelEvent::Delta(_) | ModelEvent::Unknown(_)) => {}
            Err(error) => {
                gathered.error = Some(error);
                return gathered;
            }
        }
    }
    gathered
}

fn provider_item(items: Vec<Item>) -> Result<Vec<Item>, String> {
    let made: Vec<Item> = items
        .into_iter()
        .filter(|item| matches!(item.view(), View::Compaction))
        .collect();
    if made.is_empty() {
        return Err("the provider made no compaction item".to_owned());
    }
    Ok(made)
}

/// The summary as a message. An empty one, or one cut by the output limit, is refused.
fn summary(gathered: &Gathered) -> Result<Vec<Item>, String> {
    if gathered.reason != Some(FinishReason::Complete) {
        return Err("the summary was cut short".to_owned());
    }
    let texts: Vec<String> = gathered
        .items
        .iter()
        .filter_map(|item| match item.view() {
            View::Message { text, .. } if !text.trim().is_empty() => Some(text),
            _ => None,
        })
        .collect();
    if texts.is_empty() {
        return Err("the model gave an empty summary".to_owned());
    }
    let text = format!("{}{}", prompts::SUMMARY_HEAD, texts.join("\n\n"));
    Ok(vec![Item::message("user", &text)])
}
