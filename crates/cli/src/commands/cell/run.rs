//! `recto cell run`: a command in a cell, just as the agent would run it.

use std::path::PathBuf;
use std::sync::Arc;

use recto_protocol::SessionId;
use recto_protocol::policy::Network;
use recto_protocol::ports::cell::{Cell, Command, OutputCap};

use super::super::block_on;
use super::requests::Requests;
use super::secrets::Secrets;
use super::{follow, resolve, terminal};
use crate::args::{CellOptions, RunCellArgs};
use crate::compose::cell::{Launched, Settings, failure};
use crate::compose::cells::{Cells, Record};
use crate::compose::home::Home;
use crate::compose::import::Import;
use crate::compose::place::{Place, text};
use crate::exit::Failure;
use crate::output::safe::safe;
use crate::output::tell;

/// What a shell says of a command that could not be started.
const NOT_STARTED: u8 = 127;

/// Runs the command and gives its exit code.
pub fn run(home: &Home, cells: &Cells, args: RunCellArgs) -> Result<u8, Failure> {
    let secrets = Secrets::read(&args.secret)?;
    let command = Command {
        argv: args.command,
        env: secrets.as_ref().map(Secrets::env).unwrap_or_default(),
        ..Command::default()
    };
    block_on(async {
        let wanted = Wanted {
            options: args.options,
            kept: args.kept.as_deref(),
            learning: args.learn,
        };
        let mut place = enter(home, cells, wanted).await?;
        if secrets.is_some() {
            // Objects of git are compressed, so a secret in one would not be found.
            place.import = Ok(None);
        }
        let own = place.own.take();
        let status = inside(place, command, args.tty).await;
        if let Some(own) = own {
            own.launched.close().await;
            own.requests.tell(args.learn);
            if let Some(secrets) = secrets {
                secrets.look(&own.settings)?;
            }
        }
        status
    })
}

/// What cell a command is to run in.
pub struct Wanted<'a> {
    /// What a cell of its own is made with.
    pub options: CellOptions,
    /// The kept cell.
    pub kept: Option<&'a str>,
    /// Whether a cell of its own reaches everything, to learn what is needed.
    pub learning: bool,
}

/// A cell of this command's own.
pub struct Own {
    settings: Settings,
    launched: Launched,
    requests: Arc<Requests>,
}

/// A cell, and where in it commands start.
pub struct Entered {
    cell: Arc<dyn Cell>,
    cwd: PathBuf,
    /// What belongs to a cell that was made for the command.
    pub own: Option<Own>,
    /// How what is committed inside comes home; not from a kept cell, whose view of the repository
    /// is older than the command.
    import: Result<Option<Import>, Failure>,
}

/// Finds the kept cell, or makes one for this command alone.
pub async fn enter(home: &Home, cells: &Cells, wanted: Wanted<'_>) -> Result<Entered, Failure> {
    let options = wanted.options;
    let Some(name) = wanted.kept else {
        home.make()?;
        let place = Place::find(options.cd.as_deref())?;
        let (mut settings, _) = resolve(home, &place, options).await?;
        if wanted.learning {
            settings.policy.network = Network::Allow;
            settings.learning = true;
        }
        // Before there is a cell that could change anything. What is committed over a layer stays in it.
        let import = match settings.work_layer {
            Some(_) => Ok(None),
            None => Import::begin(home, place.repository.as_ref(), &settings.policy).await,
        };
        let requests = Arc::new(Requests::default());
        let launched = settings.launch(Arc::clone(&requests) as _).await?;
        return Ok(Entered {
            import,
            cell: Arc::clone(&launched.cell),
            cwd: settings.cwd.clone(),
            own: Some(Own {
                settings,
                launched,
                requests,
            }),
        });
    };
    let kept = cells.find(name)?;
    Ok(Entered {
        import: Ok(None),
        cwd: directory(options, &kept.record)?,
        cell: kept.connect().await?,
        own: None,
    })
}

/// The directory that was asked for, else the one here if the cell shows it, else the cell's.
fn directory(options: CellOptions, record: &Record) -> Result<PathBuf, Failure> {
    if let Some(given) = options.cd {
        // It may be one that only the cell has.
        return Ok(given
            .canonicalize()
            .or_else(|_| std::path::absolute(given))?);
    }
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    Ok(here
        .ok()
        .filter(|here| here.starts_with(&record.work_tree))
        .unwrap_or_else(|| record.cwd.clone()))
}

/// Runs a command in a cell with this program's input and output, and gives its exit code.
pub async fn inside(place: Entered, command: Command, tty: bool) -> Result<u8, Failure> {
    let Entered {
        cell, cwd, import, ..
    } = place;
    let mut env = command.env;
    env.extend(tty.then(terminal::kind).flatten());
    let started = cell
        .spawn(Command {
            cwd: Some(text(&cwd)),
            env,
            tty: tty.then(terminal::size),
            stdin: true,
            // Everything is passed on: somebody is watching.
            output: OutputCap {
                head: u64::MAX,
                tail: 0,
            },
            ..command
        })
        .await;
    let status = match started {
        Ok(process) => follow::follow(process, tty).await,
        Err(error) => Err(Failure {
            code: NOT_STARTED,
            ..failure(error)
        }),
    };
    if status.is_ok() {
        for line in bring_home(import, cell.as_ref()).await {
            tell(&format!("recto: {}\n", safe(&line)));
        }
    }
    cell.close().await;
    status
}

/// Brings home what the command has committed; gives what is to be said of it.
async fn bring_home(import: Result<Option<Import>, Failure>, cell: &dyn Cell) -> Vec<String> {
    let name = SessionId(uuid::Uuid::now_v7().to_string());
    let imported = match import {
        Ok(Some(mut import)) => import.bring_home(cell, &name).await,
        Ok(None) => return Vec::new(),
        Err(failure) => Err(failure),
    };
    match imported {
        Ok(imported) => [imported.lines(), imported.warnings()].concat(),
        Err(failure) => vec![failure.message()],
    }
}
