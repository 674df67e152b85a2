//! Which server a command speaks to.

use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use reqwest::Url;
use serde::Deserialize;

use super::{Address, Client, ClientError};
use crate::args::{Role, ServerArgs};
use crate::compose::embedded;
use crate::compose::home::{Home, open_regular, variable};
use crate::exit::Failure;

/// The file by which a server on this machine is found.
const FILE: &str = "server.json";
/// More than such a file ever holds.
const MOST: u64 = 64 << 10;

/// How long a server that starts may take to say where it is.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(3);
/// How often to look whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A client, and the server if it is this process.
pub struct Connection {
    /// The client.
    pub client: Client,
    is_embedded: bool,
}

impl Connection {
    /// Finds the server that was asked for, else the one of this machine, else starts one in this
    /// process in this role.
    ///
    /// # Errors
    /// When the server is not one, or none can be started.
    pub async fn open(args: &ServerArgs, role: Role) -> Result<Self, Failure> {
        if let Some(given) = args.server.as_ref().filter(|given| !given.is_empty()) {
            return Ok(Self::to(Client::new(explicit(given)?, None)?));
        }
        let home = Home::find()?;
        if let Some(client) = running(&home).await? {
            return Ok(Self::to(client));
        }
        let embedded = match embedded::start(&home, role).await {
            Ok(embedded) => embedded,
            Err(failure) => {
                let found = running_soon(&home).await?;
                return found.map(Self::to).ok_or(failure);
            }
        };
        let address = Address {
            url: Url::parse(&embedded.url).map_err(Failure::unavailable)?,
            token: embedded.token.clone(),
            is_passing: true,
        };
        let client = Client::new(address, None)?;
        *client.embedded.lock().await = Some(embedded);
        Ok(Self {
            client,
            is_embedded: true,
        })
    }

    fn to(client: Client) -> Self {
        Self {
            client,
            is_embedded: false,
        }
    }

    /// Whether the server was this process from the start.
    pub fn is_embedded(&self) -> bool {
        self.is_embedded
    }

    /// Ends the server if it is this process.
    ///
    /// # Errors
    /// When a part of it failed.
    pub async fn close(self) -> Result<(), Failure> {
        let embedded = self.client.embedded.lock().await.take();
        match embedded {
            Some(embedded) => embedded.finish().await,
            None => Ok(()),
        }
    }
}

/// The server that another command has just become, and may not have said yet.
async fn running_soon(home: &Home) -> Result<Option<Client>, Failure> {
    let began = Instant::now();
    while began.elapsed() < ANNOUNCED_WITHIN {
        if let Some(client) = running(home).await? {
            return Ok(Some(client));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(None)
}

fn explicit(given: &str) -> Result<Address, Failure> {
    let url = Url::parse(given)
        .with_context(|| format!("{given:?} is not a URL"))
        .map_err(Failure::usage)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        let failure = Failure::usage(anyhow!("{given:?} is not the URL of a server"));
        return Err(failure.hint("it begins with https:// or http://"));
    }
    let token = variable("RECTO_TOKEN").ok_or_else(|| {
        Failure::usage(anyhow!("RECTO_TOKEN is not set"))
            .hint("set it to a token made by `recto token create` where the server runs")
    })?;
    Ok(Address {
        url,
        token,
        is_passing: false,
    })
}

/// What a server of this machine says in its file; none when there is none that can be read.
fn announced(home: &Home) -> Option<Address> {
    #[derive(Deserialize)]
    struct Announced {
        url: String,
        token: String,
        #[serde(default)]
        passing: bool,
    }
    let file = open_regular(&home.file(FILE)).ok()?;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).ok()?;
    let announced: Announced = serde_json::from_str(&text).ok()?;
    Some(Address {
        url: Url::parse(&announced.url).ok()?,
        token: announced.token,
        is_passing: announced.passing,
    })
}

/// A client of the server that runs on this machine; none when none does.
pub(super) async fn running(home: &Home) -> Result<Option<Client>, Failure> {
    let Some(address) = announced(home) else {
        return Ok(None);
    };
    let client = Client::new(address, Some(home.clone()))?;
    Ok(answers(&client).await.then_some(client))
}

/// Whether the server behind a file is there. One that died left its file behind, and somebody else
/// may listen where it did: the token is shown to a server only after it said that it is one.
async fn answers(client: &Client) -> bool {
    let anonymous = Client {
        address: Address {
            token: "none".to_owned(),
            ..client.address.clone()
        },
        ..client.clone()
    };
    let health: Result<serde_json::Value, ClientError> = anonymous.get(&["health"], &[]).await;
    match health {
        Ok(health) => health["status"] == "ok",
        // It is there, and has trouble.
        Err(ClientError::Refused { status, .. }) => status == 503,
        Err(_) => false,
    }
}
