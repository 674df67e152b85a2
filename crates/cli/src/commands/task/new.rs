//! `recto task new`.

use anyhow::anyhow;
use recto_protocol::settings::{Budget, Mode};
use recto_protocol::task::{NewRepository, NewTask, Repository, Task, TaskSpec};
use recto_protocol::usage::Micros;
use recto_workspace::git::Head;

use super::follow::{Telling, follow};
use super::{line, print, print_json};
use crate::args::NewTaskArgs;
use crate::compose::client::{Client, ClientError, Connection};
use crate::compose::place::{Place, text};
use crate::compose::prompt::{self, Needed};
use crate::exit::{DONE, Failure};
use crate::output;

/// Names tried for a repository whose own is taken.
const NAMES: u32 = 9;

/// Hands the task in, and waits for it if asked to or if nobody else would work on it.
pub(super) async fn run(
    connection: &Connection,
    args: NewTaskArgs,
    json: bool,
) -> Result<u8, Failure> {
    let client = &connection.client;
    let missing = (
        "there is no prompt".to_owned(),
        "give the task as an argument, or pipe it in: `recto task new - < task.md`".to_owned(),
    );
    let prompt = prompt::read(args.prompt.as_deref(), Needed::Yes, &Some(missing))?;
    let (repository, reference) = repository(client, &args).await?;
    let new = NewTask {
        spec: spec(&args, prompt.unwrap_or_default(), repository, reference),
        title: args.title,
        labels: args.label,
        key: args.key,
    };
    let task: Task = client.post(&["tasks"], Some(&new)).await?;
    if !args.wait && !connection.is_embedded() {
        match json {
            true => print_json(&task)?,
            false => print(&line::task(&task))?,
        }
        return Ok(DONE);
    }
    if !json {
        output::tell(&line::task(&task));
    }
    if !args.wait {
        output::tell("no server is running: this command works on it until it has ended\n");
    }
    let attempts = task.attempts.clone();
    follow(client, &task, attempts, Telling::waiting(json)).await
}

fn spec(
    args: &NewTaskArgs,
    prompt: String,
    repository: String,
    reference: Option<String>,
) -> TaskSpec {
    // Negative and absurd sums become the nearest ones.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let cost = args.max_cost.map(|dollars| Micros((dollars * 1e6) as u64));
    TaskSpec {
        repository,
        reference,
        mode: match args.ask {
            true => Mode::Ask,
            false => Mode::Code,
        },
        prompt,
        attempts: args.attempts,
        environment: None,
        provider: args.provider.clone(),
        model: args.model.clone(),
        effort: args.effort.clone(),
        budget: Budget {
            steps: args.max_steps,
            cost,
            tokens: None,
            seconds: args.max_seconds,
        },
        checks: args.check.clone(),
    }
}

/// The name of the repository that is meant, made known if it is not, and where to start from.
async fn repository(
    client: &Client,
    args: &NewTaskArgs,
) -> Result<(String, Option<String>), Failure> {
    let known: Vec<Repository> = client.get(&["repositories"], &[]).await?;
    let given = args.reference.clone();
    let Some(named) = &args.repo else {
        if !client.is_local() {
            let error = anyhow!("the server is another machine, which can't see this directory");
            return Err(Failure::usage(error).hint("name a repository that it knows with --repo"));
        }
        let place = Place::find(None)?;
        place.require_repository(false)?;
        let reference = match given {
            Some(given) => given,
            None => checked_out(&place)?,
        };
        let name = known_by_url(client, &known, &text(place.root())).await?;
        return Ok((name, Some(reference)));
    };
    if known.iter().any(|one| &one.name == named) {
        return Ok((named.clone(), given));
    }
    let url = super::super::repo::url_of(client, named)?;
    let is_url = url.starts_with('/') || url.contains(':');
    match is_url {
        true => Ok((known_by_url(client, &known, &url).await?, given)),
        // The server says that there is none.
        false => Ok((named.clone(), given)),
    }
}

/// The branch that is checked out here, else the commit.
fn checked_out(place: &Place) -> Result<String, Failure> {
    let Some(repository) = &place.repository else {
        return Ok(String::new());
    };
    match repository.head() {
        Ok(Head::Branch { commit: None, .. }) => {
            Err(Failure::usage(anyhow!("the repository has no commit yet"))
                .hint("a task starts from a commit: make one first"))
        }
        Ok(Head::Branch { name, .. }) => {
            Ok(name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned())
        }
        Ok(Head::Detached(commit)) => Ok(commit.as_str().to_owned()),
        Err(error) => Err(Failure::usage(error).hint("say where to start from with --ref")),
    }
}

/// The name of the repository with this URL, made known if it is not.
async fn known_by_url(client: &Client, known: &[Repository], url: &str) -> Result<String, Failure> {
    if let Some(known) = known.iter().find(|one| one.url == url) {
        return Ok(known.name.clone());
    }
    let mut name = None;
    for number in 2..=NAMES {
        let new = NewRepository {
            name: name.clone(),
            url: url.to_owned(),
            default_reference: None,
        };
        let added: Result<Repository, _> = client.post(&["repositories"], Some(&new)).await;
        match added {
            Ok(repository) => return Ok(repository.name),
            // Its name is another one's.
            Err(ClientError::Refused { status: 409, .. }) => {
                name = Some(format!("{}-{number}", last_part(url)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let error = anyhow!("all names for {url} are taken");
    Err(Failure::usage(error).hint("name it with `recto repo add --name`"))
}

fn last_part(url: &str) -> String {
    let path = url.trim_end_matches('/').trim_end_matches(".git");
    let last = path.rsplit(['/', ':']).next().unwrap_or_default();
    last.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .collect()
}
