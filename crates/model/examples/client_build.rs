//! Measures what it costs to set up a client: with TLS, and for a server on loopback.

use std::time::{Duration, Instant};

use recto_model::providers::Catalogue;
use recto_model::responses::Client;

fn main() {
    let start = Instant::now();
    let catalogue = Catalogue::builtin();
    report("read the built-in catalogue", start.elapsed());
    for key in ["ollama", "openai", "openai"] {
        let start = Instant::now();
        let Some(provider) = catalogue.provider(key) else {
            continue;
        };
        let Ok(client) = Client::new(&provider, &|_| Some("key".into())) else {
            continue;
        };
        report(&format!("{key}: resolve"), start.elapsed());
        let start = Instant::now();
        client.prepare();
        report(&format!("{key}: build the HTTP client"), start.elapsed());
    }
}

#[allow(clippy::print_stdout)] // Its output is what it is for.
fn report(what: &str, took: Duration) {
    println!("{what}: {:.3} ms", took.as_secs_f64() * 1e3);
}
