//! Finds the addresses of names.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;
use recto_protocol::egress::Name;

/// Finds the addresses of names. Asked once per connection, and only for what is allowed.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of a name, best first.
    ///
    /// # Errors
    /// The resolver's.
    async fn resolve(&self, name: &Name) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver.
#[derive(Clone, Copy, Debug)]
pub struct System;

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, name: &Name) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
