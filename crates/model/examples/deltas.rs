//! Measures 20,000 deltas in one reply: a scripted server on its own thread, and the client.

use std::error::Error;
use std::time::Instant;

use futures_util::StreamExt;
use recto_model::responses::Client;
use recto_model::script::server::{Handle, Options, Server};
use recto_model::script::{Script, Scripted};
use recto_protocol::ports::model::{Model, ModelEvent, Request};
use recto_protocol::profile::Provider;

const SCRIPT: &str = r#"
[[reply]]
events = [{ deltas = { count = 20000, text = "word " } }, { text = "done" }]
times = 100
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let handle = serve()?;
    let provider = Provider {
        base_url: handle.base_url(),
        ..Provider::default()
    };
    let client = Client::new(&provider, &|_| None)?;
    let scripted = Scripted::new(Script::parse(SCRIPT)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        measure("client over loopback", &client).await;
        measure("in process", &scripted).await;
    });
    handle.stop();
    Ok(())
}

fn serve() -> Result<Handle, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let server = Server::new(listener, Script::parse(SCRIPT)?, Options::default())?;
    let handle = server.handle();
    std::thread::spawn(move || runtime.block_on(server.run()));
    Ok(handle)
}

#[allow(clippy::print_stdout)] // Its output is what it is for.
async fn measure(what: &str, model: &dyn Model) {
    for round in 0..5 {
        let start = Instant::now();
        let mut events = model.respond(request(round));
        let (mut deltas, mut first) = (0, None);
        while let Some(event) = events.next().await {
            first = first.or_else(|| Some(start.elapsed()));
            deltas += usize::from(matches!(event, Ok(ModelEvent::Delta(_))));
        }
        let first = first.unwrap_or_default().as_secs_f64() * 1e3;
        let all = start.elapsed().as_secs_f64() * 1e3;
        println!("{what}: {deltas} deltas in {all:.1} ms, the first event after {first:.2} ms");
    }
}

fn request(round: usize) -> Request {
    Request {
        model: "scripted".into(),
        instructions: "".into(),
        tools: "[]".into(),
        input: "".into(),
        reasoning: None,
        text: None,
        max_output_tokens: None,
        cache_key: round.to_string(),
    }
}
