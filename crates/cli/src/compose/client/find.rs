//! Which server a command speaks to.

use std::io::Read as _;

use anyhow::{Context as _, anyhow};
use reqwest::Url;
use serde::Deserialize;

use super::{Address, Client, ClientError};
use crate::args::{Role, ServerArgs};
use crate::compose::embedded::{self, Embedded};
use crate::compose::home::{Home, open_regular, variable};
use crate::exit::Failure;

/// The file by which a server on this machine is found.
const FILE: &str = "server.json";
/// More than such a file ever holds.
const MOST: u64 = 64 << 10;

/// A client, and the server if it is this process.
pub struct Connection {
    /// The client.
    pub client: Client,
    embedded: Option<Embedded>,
}

impl Connection {
    /// Finds the server that was asked for, else the one of this machine, else starts one in this
    /// process in this role.
    ///
    /// # Errors
    /// When the server is not one, or none can be started.
    pub async fn open(args: &ServerArgs, role: Role) -> Result<Self, Failure> {
        if let Some(given) = args.server.as_ref().filter(|given| !given.is_empty()) {
            let client = Client::new(explicit(given)?, None)?;
            return Ok(Self {
                client,
                embedded: None,
            });
        }
        let home = Home::find()?;
        if let Some(address) = announced(&home) {
            let client = Client::new(address, Some(home.clone()))?;
            if answers(&client).await {
                return Ok(Self {
                    client,
                    embedded: None,
                });
            }
        }
        let embedded = embedded::start(&home, role).await?;
        let url = Url::parse(&embedded.url).map_err(Failure::unavailable)?;
        let token = embedded.token.clone();
        Ok(Self {
            client: Client::new(Address { url, token }, None)?,
            embedded: Some(embedded),
        })
    }

    /// Whether the server is this process.
    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Ends the server if it is this process.
    ///
    /// # Errors
    /// When a part of it failed.
    pub async fn close(self) -> Result<(), Failure> {
        match self.embedded {
            Some(embedded) => embedded.finish().await,
            None => Ok(()),
        }
    }
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
    Ok(Address { url, token })
}

/// What a server of this machine says in its file; none when there is none that can be read.
pub(super) fn announced(home: &Home) -> Option<Address> {
    #[derive(Deserialize)]
    struct Announced {
        url: String,
        token: String,
    }
    let file = open_regular(&home.file(FILE)).ok()?;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).ok()?;
    let announced: Announced = serde_json::from_str(&text).ok()?;
    Some(Address {
        url: Url::parse(&announced.url).ok()?,
        token: announced.token,
    })
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
