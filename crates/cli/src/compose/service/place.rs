//! The place of one attempt.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use recto_protocol::ports::checkpoints::Checkpoints;
use recto_protocol::ports::files::Files;
use recto_protocol::ports::log::Log;
use recto_protocol::ports::model::Model;
use recto_protocol::record::{NetworkRequested, Warning, WorkSettled};
use recto_protocol::settings::Mode;
use recto_protocol::{AttemptId, SessionId};
use recto_runtime::opening::Opening;
use recto_runtime::{Parts, Sink};
use recto_service::{Job, Settled as Work, Workplace, WorkplaceError};
use recto_store::ChunkFiles;
use recto_workspace::git::{
    Author, DiffOptions, Git, Mirror, Oid, OpenOptions, Repository, Trusted,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::checkpoints::{self, TreeCheckpoints};
use super::fetch::Fetches;
use super::{failed, told};
use crate::args::RunArgs;
use crate::compose::cell::{self, Launched};
use crate::compose::files::TreeFiles;
use crate::compose::home::{Home, make_private};
use crate::compose::import::Import;
use crate::compose::outside::Requests;
use crate::compose::settle::{self, Settled};
use crate::compose::view::View;
use crate::compose::{agent, model, place};

/// Who commits what agents leave.
const NOBODY: (&str, &str) = ("Recto", "recto@localhost");

/// What a work tree was made of. Written once it is whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Made {
    /// The commit that was checked out.
    base: String,
    /// The branch that it came from, where it was one.
    from: Option<String>,
}

/// The place of one attempt, with its cell running.
pub(super) struct Place {
    home: Home,
    git: Git,
    attempt: AttemptId,
    title: String,
    directory: PathBuf,
    mode: Mode,
    made: Made,
    place: place::Place,
    settled: Settled,
    files: Arc<dyn Files>,
    model: Arc<dyn Model>,
    launched: Launched,
    network: Option<mpsc::Receiver<NetworkRequested>>,
    checkpoints: Option<Arc<TreeCheckpoints>>,
    import: Option<Import>,
    view: Option<View>,
    warnings: Vec<Warning>,
    /// Whether all commits have come home, so that the cell's view of git may go.
    is_home: bool,
}

impl Place {
    /// Makes the place, or finds it as it was left, and makes a cell in it.
    pub(super) async fn open(
        home: &Home,
        git: &Git,
        fetches: &Fetches,
        directory: PathBuf,
        job: Job,
    ) -> Result<Self, WorkplaceError> {
        let (made, mirror) = tree(home, git, fetches, &directory, &job).await?;
        let spec = &job.task.spec;
        let place = place::Place::find(Some(&directory.join("tree"))).map_err(told)?;
        let run = run_args(&job);
        let mut settled = settle::settle(home, &place, &run, job.before.as_ref()).map_err(told)?;
        add(&mut settled.checks, &spec.checks);
        let mut policy = settled.policy.clone();
        if spec.mode == Mode::Ask {
            policy.access = recto_protocol::policy::Access::ReadOnly;
        }
        settled.policy = policy.clone();
        for sub in ["journals", "chunks", "layers"] {
            make_private(&directory.join(sub))
                .map_err(|error| failed("make the attempt's directory", &error))?;
        }
        let tree = TreeFiles::new(place.root(), directory.join("journals"), Vec::new());
        let mut warnings = Vec::new();
        warnings.extend(
            tree.recover()
                .map_err(told)?
                .map(|text| warning("patch", text)),
        );
        warnings.extend(
            settled
                .notices
                .iter()
                .map(|text| warning("config", text.clone())),
        );
        let repository = place.repository.as_ref();
        let import = Import::begin(home, repository, &policy)
            .await
            .map_err(told)?;
        let checkpoints = match repository.filter(|_| spec.mode == Mode::Code) {
            Some(repository) => {
                let opened = TreeCheckpoints::open(git, repository, &directory.join("trusted"));
                Some(Arc::new(
                    opened.map_err(|e| failed("watch the work tree", &e))?,
                ))
            }
            None => None,
        };
        let id = session(&job.attempt);
        let (view, problem) = View::within(&directory.join("layers"), &id, &policy);
        warnings.extend(problem.map(|text| warning("git", text)));
        let model = model::open(
            home,
            &settled.provider_key,
            &settled.provider,
            &settled.model,
            None,
        )
        .map_err(told)?;
        let (observer, network) = Requests::pair();
        let mut readable = settled.readable.clone();
        readable.push(mirror.objects());
        let mut wanted = cell::settings(cell::Wanted {
            home,
            policy,
            root: place.root(),
            cwd: &place.cwd,
            backend: settled.backend,
            readable,
            limits: settled.limits,
            env: settled.command_env.clone(),
            way_out: settled.way_out.clone(),
            repository,
        })
        .await;
        // The work tree lies in the program's directory; nothing else of it is ever shown.
        wanted.hidden.retain(|path| path != &home.recto);
        wanted.git_layer = view.directory();
        view.wait_until_free().await;
        let launched = wanted.launch(observer).await.map_err(told)?;
        Ok(Self {
            home: home.clone(),
            git: git.clone(),
            title: job.task.title.clone(),
            attempt: job.attempt,
            directory,
            mode: spec.mode,
            made,
            place,
            settled,
            files: Arc::new(tree),
            model,
            launched,
            network: Some(network),
            checkpoints,
            import,
            view: Some(view),
            warnings,
            is_home: false,
        })
    }

    fn branch(&self) -> String {
        branch(&self.attempt)
    }

    /// Commits what the agent left in the work tree. None when it left nothing.
    async fn commit_leftovers(
        &self,
        repository: &Repository,
    ) -> Result<(Option<Oid>, Vec<Warning>), WorkplaceError> {
        let cannot = |error: &dyn std::error::Error| failed("look at the work tree", error);
        let Some(checkpoints) = &self.checkpoints else {
            return Ok((None, Vec::new()));
        };
        let mut trusted = checkpoints.trusted.lock().await;
        let checkpoint = trusted.work_tree_tree().await.map_err(|e| cannot(&e))?;
        let skipped = checkpoint.skipped.iter().map(|skipped| {
            let text = format!("{} is not in the result", checkpoints::words(skipped));
            warning("left_out", text)
        });
        let warnings = skipped.collect();
        let head = repository.head_commit().map_err(|e| cannot(&e))?;
        let Some(head) = head else {
            return Ok((None, warnings));
        };
        if trusted.tree_of(&head).await.map_err(|e| cannot(&e))? == checkpoint.tree {
            return Ok((None, warnings));
        }
        let message = format!(
            "Keep what was left uncommitted\n\n{}\n\nRecto-Attempt: {}",
            self.title, self.attempt
        );
        let author = Author {
            name: NOBODY.0.to_owned(),
            email: NOBODY.1.to_owned(),
        };
        let objects = trusted.dir().join("objects");
        let commit = self
            .git
            .commit_tree(repository, &objects, &checkpoint.tree, &author, &message)
            .await
            .map_err(|error| failed("commit what was left", &error))?;
        Ok((Some(commit), warnings))
    }

    async fn work(
        &self,
        repository: &Repository,
        leftovers: Option<Oid>,
    ) -> Result<WorkSettled, WorkplaceError> {
        let cannot = |error: &dyn std::error::Error| failed("look at the commits", error);
        let head = repository.head_commit().map_err(|e| cannot(&e))?;
        let base = Oid::parse(&self.made.base);
        let (Some(head), Some(base)) = (head, base) else {
            return Err(WorkplaceError::lasting("the work tree has no commit"));
        };
        let trusted = Trusted::temporary(&self.git, repository, OpenOptions::default())
            .map_err(|e| cannot(&e))?;
        // Only the counts are wanted.
        let options = DiffOptions {
            limit: 0,
            ..DiffOptions::default()
        };
        let diff = trusted.diff(&base, &head, options).await;
        let files = diff.map_err(|e| cannot(&e))?.files;
        Ok(WorkSettled {
            branch: self.branch(),
            base: base.as_str().to_owned(),
            commit: head.as_str().to_owned(),
            leftovers: leftovers.map(|commit| commit.as_str().to_owned()),
            files: u32::try_from(files.len()).unwrap_or(u32::MAX),
            added: files.iter().filter_map(|file| file.added).sum(),
            removed: files.iter().filter_map(|file| file.removed).sum(),
        })
    }
}

#[async_trait]
impl Workplace for Place {
    fn opening(&self) -> Opening {
        let who = agent::Who {
            id: session(&self.attempt),
            mode: self.mode,
            policy: self.settled.policy.clone(),
            head: Some(self.made.base.clone()),
        };
        agent::opening(&self.home, &self.settled, &self.place, who)
    }

    fn parts(&mut self, log: Box<dyn Log>, sink: Box<dyn Sink>) -> Parts {
        let chunks = ChunkFiles::open(&self.directory.join("chunks"), session(&self.attempt));
        Parts {
            log,
            chunks: Arc::new(chunks),
            model: Arc::clone(&self.model),
            cell: Arc::clone(&self.launched.cell),
            files: Arc::clone(&self.files),
            sink,
            limits: agent::limits(&self.settled),
            max_retries: self.settled.max_retries(),
            instruction_names: self.settled.instruction_names.clone(),
            jitter: agent::jitter,
            network: self.network.take(),
            checkpoints: self
                .checkpoints
                .clone()
                .map(|one| one as Arc<dyn Checkpoints>),
        }
    }

    fn warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    async fn settle(&mut self) -> Result<Work, WorkplaceError> {
        let Some(repository) = self.place.repository.clone() else {
            return Ok(Work::default());
        };
        let mut settled = Work::default();
        if let Some(import) = &mut self.import {
            let imported = import
                .bring_home(self.launched.cell.as_ref(), &session(&self.attempt))
                .await
                .map_err(told)?;
            let lines = imported.warnings().into_iter();
            settled
                .warnings
                .extend(lines.map(|line| warning("git", line)));
            self.is_home = true;
            let (leftovers, warnings) = self.commit_leftovers(&repository).await?;
            settled.warnings.extend(warnings);
            // The cell sees the branch as it was before: it can't go on from here.
            settled.is_spent = leftovers.is_some();
            settled.work = Some(self.work(&repository, leftovers).await?);
        }
        Ok(settled)
    }

    async fn close(&mut self) {
        self.launched.close().await;
        if self.is_home
            && let Some(view) = self.view.take()
        {
            // What is left of it is removed with the attempt.
            let _ = view.discard();
        }
    }
}

/// Makes the attempt's work tree, if it is not there whole, and says what it was made of.
async fn tree(
    home: &Home,
    git: &Git,
    fetches: &Fetches,
    directory: &Path,
    job: &Job,
) -> Result<(Made, Mirror), WorkplaceError> {
    let made_at = directory.join("made.json");
    let cannot = |error: &dyn std::error::Error| failed("make the work tree", error);
    if let Ok(text) = std::fs::read(&made_at) {
        let made: Made = serde_json::from_slice(&text).map_err(|e| cannot(&e))?;
        let mirror = Mirror::open(git, &fetches.directory_of(&job.repository.url)).await;
        return Ok((made, mirror.map_err(|e| cannot(&e))?));
    }
    let reference = job.task.spec.reference.as_deref();
    let (mirror, found) = fetches.find(git, home, &job.repository, reference).await?;
    let root = directory.join("tree");
    // What a worker that was killed had begun is begun anew.
    super::remove(&root).map_err(|e| cannot(&e))?;
    make_private(directory).map_err(|e| cannot(&e))?;
    std::fs::create_dir_all(&root).map_err(|e| cannot(&e))?;
    let branch = branch(&job.attempt);
    let checked_out = mirror.check_out(&root, &branch, &found.commit).await;
    checked_out.map_err(|e| cannot(&e))?;
    let made = Made {
        base: found.commit.as_str().to_owned(),
        from: found.branch,
    };
    let text = serde_json::to_vec(&made).map_err(|e| cannot(&e))?;
    let draft = directory.join("made.json.new");
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, &made_at))
        .map_err(|e| cannot(&e))?;
    Ok((made, mirror))
}

/// What the command line would say for such a task.
fn run_args(job: &Job) -> RunArgs {
    let spec = &job.task.spec;
    RunArgs {
        model: spec.model.clone(),
        provider: spec.provider.clone(),
        effort: spec.effort.clone(),
        max_steps: spec.budget.steps,
        // Millionths of a dollar are far below what a double tells apart here.
        #[allow(clippy::cast_precision_loss)]
        max_cost: spec.budget.cost.map(|cost| cost.0 as f64 / 1e6),
        max_tokens: spec.budget.tokens,
        max_seconds: spec.budget.seconds,
        ..RunArgs::default()
    }
}

fn branch(attempt: &AttemptId) -> String {
    format!("recto/{attempt}")
}

fn session(attempt: &AttemptId) -> SessionId {
    SessionId(attempt.as_str().to_owned())
}

fn warning(code: &str, message: impl Into<String>) -> Warning {
    Warning {
        code: code.to_owned(),
        message: message.into(),
    }
}

fn add(checks: &mut Vec<String>, more: &[String]) {
    for check in more {
        if !checks.contains(check) {
            checks.push(check.clone());
        }
    }
}
