//! `recto demo`: the main job from end to end, on a small repository made for it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use recto_cell::Limits;
use recto_protocol::policy::Policy;
use recto_protocol::ports::cell::{Command, ExitStatus, ProcessEvent};
use recto_protocol::record::Outcome;
use recto_protocol::settings::Mode;

use super::exec::{Ran, Request, Surface, exit_code, run_turn};
use super::report::{Shared, verdict_word};
use super::{block_on, print};
use crate::args::{DemoArgs, RunArgs};
use crate::compose::cell::{Wanted, settings};
use crate::compose::git;
use crate::compose::home::Home;
use crate::compose::model::{SCRIPT, has_key};
use crate::compose::outside::WayOut;
use crate::compose::place::Place;
use crate::compose::settle::settle;
use crate::exit::Failure;
use crate::output::safe::{safe, safe_line};

const TASK: &str = "Titles with punctuation or with spaces at their ends get slugs with too many \
                    hyphens. Repair slug.sh so that `sh tests/run.sh` passes, and commit.";
const CHECK: &str = "sh tests/run.sh";
const SCRIPT_TEXT: &str = include_str!("../demo/script.toml");
const FILES: [(&str, &str); 3] = [
    ("AGENTS.md", include_str!("../demo/repository/AGENTS.md")),
    ("slug.sh", include_str!("../demo/repository/slug.sh")),
    (
        "tests/run.sh",
        include_str!("../demo/repository/tests/run.sh"),
    ),
];

/// Runs the demonstration.
pub fn run(args: &DemoArgs) -> Result<u8, Failure> {
    let dir = tempfile::Builder::new().prefix("recto-demo-").tempdir()?;
    let repository = dir.path().join("slug");
    let result = block_on(show(args, &repository, dir.path()));
    if args.keep {
        print(&format!(
            "\nThe repository is kept in {}\n",
            repository.display()
        ))?;
        let _ = dir.keep();
    }
    result
}

async fn show(args: &DemoArgs, repository: &Path, scratch: &Path) -> Result<u8, Failure> {
    let home = Home::find()?;
    make_repository(&home, repository).await?;
    let place = Place::find(Some(repository))?;
    let base = place.head();
    let run = choose_model(args, &home, &place, scratch)?;
    heading("The task")?;
    print(&format!("{TASK}\n\nRepository: {}\n", repository.display()))?;

    heading("The check before")?;
    let policy = settle(&home, &place, &run, None)?.policy;
    let before = check(&home, &place, policy.clone()).await?;
    print(&before.text)?;

    heading("The agent at work")?;
    let ran = work(run).await?;

    heading("The diff")?;
    print(&diff(&home, &place, base.as_deref()).await?)?;

    heading("The check after")?;
    let after = check(&home, &place, policy).await?;
    print(&after.text)?;

    tell_answer(&ran)?;
    heading("Where it lies")?;
    if let Some(session) = &ran.session {
        print(&format!("Log: {}\n", session.join("log.jsonl").display()))?;
        if let Some(id) = session.file_name().and_then(|name| name.to_str()) {
            print(&format!("See it again: recto sessions show {id}\n"))?;
        }
    }
    print(&format!(
        "\nThe check `{CHECK}`: {} before, {} after.\n",
        before.word(),
        after.word()
    ))?;
    match exit_code(&ran.outcome) {
        0 if !after.passed => Ok(crate::exit::FAILED),
        code => Ok(code),
    }
}

fn heading(text: &str) -> Result<(), Failure> {
    print(&format!("\n== {text} ==\n"))
}

/// The configured provider when its key is there, else the bundled script; says which.
fn choose_model(
    args: &DemoArgs,
    home: &Home,
    place: &Place,
    scratch: &Path,
) -> Result<RunArgs, Failure> {
    let mut run = RunArgs {
        cd: Some(place.cwd.clone()),
        sandbox: args.sandbox.clone(),
        model: args.model.clone(),
        color: "auto".to_owned(),
        ..RunArgs::default()
    };
    let settled = settle(home, place, &run, None)?;
    if !args.script && (has_key(home, &settled.provider) || args.model.is_some()) {
        print(&format!(
            "Model: {} of provider {}\n",
            safe_line(&settled.model, 200),
            safe_line(&settled.provider_key, 200)
        ))?;
        return Ok(run);
    }
    let script = scratch.join("script.toml");
    std::fs::write(&script, SCRIPT_TEXT)?;
    run.model = Some(format!("{SCRIPT}{}", script.display()));
    print(
        "Model: the bundled script. No model is asked: what it says is fixed beforehand, and \
         everything else is real.\n",
    )?;
    Ok(run)
}

async fn make_repository(home: &Home, root: &Path) -> Result<(), Failure> {
    for (name, text) in FILES {
        let path = root.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let made = git::find(home, &[root])?
        .create_repository(root, "The slug function and its tests")
        .await;
    made.context("cannot make a repository")?;
    Ok(())
}

async fn work(run: RunArgs) -> Result<Ran, Failure> {
    let surface = Shared::new(Surface::new(&run));
    let request = Request {
        mode: Mode::Code,
        run,
        prompt: Some(TASK.to_owned()),
        command: None,
    };
    run_turn(request, &surface).await
}

/// The check's result.
struct Checked {
    text: String,
    passed: bool,
}

impl Checked {
    fn word(&self) -> &'static str {
        if self.passed { "passed" } else { "failed" }
    }
}

/// Runs the check in a cell of its own.
async fn check(home: &Home, place: &Place, policy: Policy) -> Result<Checked, Failure> {
    let settings = settings(Wanted {
        home,
        policy,
        root: place.root(),
        cwd: &place.cwd,
        backend: recto_cell::Backend::default(),
        readable: Vec::new(),
        limits: Limits::default(),
        env: Vec::new(),
        way_out: WayOut::default(),
        repository: None,
    })
    .await;
    let launched = settings.launch(Arc::new(|_| true)).await?;
    let cell = &launched.cell;
    let command = Command {
        argv: ["sh", "-c", CHECK].map(str::to_owned).to_vec(),
        ..Command::default()
    };
    let mut process = cell
        .spawn(command)
        .await
        .map_err(crate::compose::cell::failure)?;
    let mut output = Vec::new();
    let mut passed = false;
    while let Some(event) = process.events.next().await {
        match event {
            ProcessEvent::Output(bytes) => output.extend_from_slice(&bytes),
            ProcessEvent::Dropped(_) | ProcessEvent::Limited(_) => {}
            ProcessEvent::Exited(status) => passed = status == ExitStatus::Code(0),
        }
    }
    launched.close().await;
    let text = format!("$ {CHECK}\n{}", safe(&String::from_utf8_lossy(&output)));
    Ok(Checked { text, passed })
}

/// What the agent's commits changed.
async fn diff(home: &Home, place: &Place, base: Option<&str>) -> Result<String, Failure> {
    let Some(repository) = &place.repository else {
        return Ok(String::new());
    };
    let work = git::work_since(home, repository, base, &[]).await?;
    let mut text = String::new();
    for commit in &work.commits {
        text.push_str(&format!("{} {}\n", commit.id, safe(&commit.subject)));
    }
    text.push_str(&safe(&work.diff));
    if work.truncated {
        text.push_str("(the diff is longer and cut here)\n");
    }
    text.push_str(match work.clean {
        Some(true) => "(the work tree is clean)\n",
        Some(false) => "(not all is committed)\n",
        None => "",
    });
    Ok(text)
}

fn tell_answer(ran: &Ran) -> Result<(), Failure> {
    heading("The answer")?;
    match &ran.outcome {
        Outcome::Completed { answer } => {
            print(&format!(
                "{}\n",
                safe(&recto_evidence::plain(answer)).trim_end()
            ))?;
        }
        Outcome::Failed { message, .. } => print(&format!("failed: {}\n", safe(message)))?,
        Outcome::Interrupted { by } => print(&format!("interrupted by {by}\n"))?,
        Outcome::BudgetReached { limit } => print(&format!("budget used up: {limit}\n"))?,
    }
    let Some(report) = &ran.report else {
        return Ok(());
    };
    heading("Its citations")?;
    for checked in &report.citations {
        print(&format!(
            "{} {}\n",
            safe(&checked.citation.to_string()),
            verdict_word(checked.verdict)
        ))?;
    }
    let Outcome::Completed { answer } = &ran.outcome else {
        return Ok(());
    };
    for text in report
        .malformed
        .iter()
        .filter_map(|span| answer.get(span.clone()))
    {
        print(&format!("{} malformed\n", safe_line(text, 200)))?;
    }
    Ok(())
}
