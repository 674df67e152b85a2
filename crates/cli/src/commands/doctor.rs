//! `recto doctor`: what works on this machine, and how to mend what does not.

mod attempts;

use std::net::ToSocketAddrs as _;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::json;

use super::{block_on, print};
use crate::args::{DoctorArgs, RunArgs};
use crate::compose::home::{Home, variable};
use crate::compose::model::{has_key, key_file_problem};
use crate::compose::place::Place;
use crate::compose::settle::{Settled, settle};
use crate::exit::{DONE, Failure, UNAVAILABLE};

/// How long the provider may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a thing is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Ok,
    Warning,
    Failed,
}

/// One thing that was looked at.
struct Finding {
    name: String,
    status: Status,
    detail: String,
    remedy: Option<String>,
}

impl Finding {
    fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status: Status::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    fn bad(name: &str, status: Status, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            name: name.into(),
            status,
            detail: detail.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Looks at everything and reports. The exit code says whether anything has failed.
pub fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let home = Home::find()?;
    let mut findings: Vec<Finding> = recto_cell::probe()
        .into_iter()
        .map(|finding| Finding {
            name: finding.what.to_owned(),
            status: match finding.status {
                recto_cell::Status::Good => Status::Ok,
                recto_cell::Status::Note => Status::Warning,
                recto_cell::Status::Bad => Status::Failed,
            },
            detail: finding.detail,
            remedy: finding.remedy,
        })
        .collect();
    findings.push(git(&home));
    findings.push(home_is_writable(&home));
    let settled =
        Place::find(None).and_then(|place| settle(&home, &place, &RunArgs::default(), None));
    let backend = settled.as_ref().map(|settled| settled.backend);
    findings.push(isolation(&home, backend.unwrap_or_default()));
    configuration(&home, settled, args.offline, &mut findings);
    report(&findings, args.json)?;
    let failed = findings
        .iter()
        .any(|finding| finding.status == Status::Failed);
    Ok(if failed { UNAVAILABLE } else { DONE })
}

fn git(home: &Home) -> Finding {
    let remedy = "Install git 2.30 or newer, for example with `apt-get install git`.";
    let version = block_on(async {
        // A cell may have written here.
        let here = std::env::current_dir().unwrap_or_default();
        let root = crate::compose::git::root_of(&here);
        let git = crate::compose::git::find(home, &[&root])?;
        git.version().await.map_err(Failure::unavailable)
    });
    match version {
        Ok(version) => Finding::ok("git", version),
        Err(failure) => Finding::bad("git", Status::Failed, failure.message(), remedy),
    }
}

fn home_is_writable(home: &Home) -> Finding {
    let tried = home
        .make()
        .and_then(|()| tempfile::tempfile_in(&home.recto).map(drop));
    match tried {
        Ok(()) => Finding::ok("home", home.recto.display().to_string()),
        Err(error) => Finding::bad(
            "home",
            Status::Failed,
            format!("{}: {error}", home.recto.display()),
            "Make the directory writable, or set RECTO_HOME to another one.",
        ),
    }
}

/// Tries to get out of a real cell.
fn isolation(home: &Home, backend: recto_cell::Backend) -> Finding {
    let failed = |detail, remedy| Finding::bad("isolation", Status::Failed, detail, remedy);
    match block_on(attempts::run(home, backend)) {
        Ok((tried, out)) if out.is_empty() => {
            Finding::ok("isolation", format!("{tried} attempts contained"))
        }
        Ok((_, out)) => failed(
            format!("these attempts got out: {}", out.join(", ")),
            "Let no agent work on this machine until they are contained; docs/cell.md says what \
             a cell is made of.",
        ),
        Err(failure) => failed(
            failure.message(),
            failure
                .hint
                .as_deref()
                .unwrap_or("The findings above may say why."),
        ),
    }
}

fn configuration(
    home: &Home,
    settled: Result<Settled, Failure>,
    offline: bool,
    findings: &mut Vec<Finding>,
) {
    match settled {
        Ok(settled) => {
            findings.push(Finding::ok(
                "configuration",
                format!(
                    "model {} of provider {}",
                    settled.model, settled.provider_key
                ),
            ));
            findings.push(key(home, &settled));
            if let Some(problem) = key_file_problem(home) {
                findings.push(Finding::bad(
                    "key file",
                    Status::Warning,
                    problem,
                    "Only a file with mode 0600 that is valid TOML is read.",
                ));
            }
            if !offline {
                findings.push(reachable(&settled));
            }
        }
        Err(failure) => findings.push(Finding::bad(
            "configuration",
            Status::Failed,
            failure.message(),
            "`recto config show` and docs/config.md help.",
        )),
    }
}

fn key(home: &Home, settled: &Settled) -> Finding {
    let provider = &settled.provider;
    match &provider.env_key {
        None => Finding::ok("model key", "the provider needs none"),
        Some(name) if has_key(home, provider) => {
            Finding::ok("model key", format!("{name} is there"))
        }
        Some(name) => Finding::bad(
            "model key",
            Status::Warning,
            format!("{name} is not set"),
            &format!(
                "Set {name}, or write it to {} (mode 0600). Without a key, `recto demo` and \
                 `--model script:FILE` work.",
                home.file("keys.toml").display()
            ),
        ),
    }
}

/// Opens a connection to the provider, and closes it again without a word.
fn reachable(settled: &Settled) -> Finding {
    let url = &settled.provider.base_url;
    if ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| variable(name).is_some())
    {
        return Finding::ok(
            "provider",
            format!("{url}, through the proxy of the environment"),
        );
    }
    match connect(url) {
        Ok(()) => Finding::ok("provider", format!("{url} accepts connections")),
        Err(error) => Finding::bad(
            "provider",
            Status::Warning,
            format!("{url}: {error}"),
            "Check the network and `base_url`, or set HTTPS_PROXY.",
        ),
    }
}

fn connect(url: &str) -> anyhow::Result<()> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| anyhow!("it is not a URL"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = match (has_port, scheme) {
        (true, _) => authority.to_owned(),
        (false, "http") => format!("{authority}:80"),
        (false, _) => format!("{authority}:443"),
    };
    let address = target
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| anyhow!("no address"))?;
    std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
    Ok(())
}

fn report(findings: &[Finding], as_json: bool) -> Result<(), Failure> {
    if as_json {
        let entries: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({
                    "name": finding.name,
                    "status": word(finding.status),
                    "detail": finding.detail,
                    "remedy": finding.remedy,
                })
            })
            .collect();
        return print(&format!("{}\n", json!(entries)));
    }
    let mut out = String::new();
    for finding in findings {
        out.push_str(&format!(
            "{:<8} {}: {}\n",
            word(finding.status),
            finding.name,
            finding.detail
        ));
        if let Some(remedy) = &finding.remedy {
            out.push_str(&format!("         {remedy}\n"));
        }
    }
    print(&crate::output::safe::safe(&out))
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Warning => "warning",
        Status::Failed => "failed",
    }
}
