//! Runs a command with the variables of a proxy on this machine's loopback, for trying rules on
//! real tools: `egress-run [--none | --learn | RULE…] -- COMMAND…`. It confines nothing: that is a
//! cell's work. Events go to standard error, and after `--learn` the least list of rules.

#![allow(
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a tool for developers"
)]

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use recto_egress::{Options, Permission, Proxy, Reachable, environment};
use recto_protocol::egress::{RequestEvent, Rules, minimal_rules};
use recto_protocol::ports::cell::Gateway;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let cut = arguments
        .iter()
        .position(|word| word == "--")
        .expect("-- before the command");
    let (permission, reachable) = match arguments.first().map(String::as_str) {
        Some("--none") => (Permission::Nothing, Reachable::Nothing),
        Some("--learn") => (Permission::Everything, Reachable::Outside),
        _ => {
            let rules = Rules::parse(&arguments[..cut]).unwrap_or_else(|error| panic!("{error}"));
            (Permission::Rules(rules), Reachable::Outside)
        }
    };
    let learning = permission == Permission::Everything;
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let observer = move |event: RequestEvent| {
        eprintln!("{event:?}");
        seen.lock().unwrap().push(event);
        true
    };
    let proxy = Proxy::start(Options::new(permission, Arc::new(observer))).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door: SocketAddrV4 = listener.local_addr().unwrap().to_string().parse().unwrap();
    let bundle = std::env::temp_dir().join(format!("egress-run-{}.pem", std::process::id()));
    if let Some(pem) = proxy.authority_pem() {
        let system = std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap();
        std::fs::write(&bundle, format!("{pem}{system}")).unwrap();
    }
    let ca = proxy.authority_pem().map(|_| bundle.to_str().unwrap());
    let mut command = tokio::process::Command::new(&arguments[cut + 1]);
    command
        .args(&arguments[cut + 2..])
        .envs(environment(door, ca, reachable));
    let mut child = command.spawn().unwrap();
    let status = loop {
        tokio::select! {
            accepted = listener.accept() => {
                let stream = accepted.unwrap().0.into_std().unwrap();
                stream.set_nonblocking(false).unwrap();
                proxy.connection(0, OwnedFd::from(stream));
            }
            status = child.wait() => break status.unwrap(),
        }
    };
    proxy.close().await;
    let _ = std::fs::remove_file(&bundle);
    eprintln!("{status}, {:?}", proxy.stats());
    if learning {
        eprintln!("{:#?}", minimal_rules(&events.lock().unwrap()));
    }
}
