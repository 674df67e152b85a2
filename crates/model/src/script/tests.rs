//! Whole scripts: in process and over HTTP, recorded and played again.

use std::time::Duration;

use recto_protocol::ports::model::{ErrorKind, Model, ModelError, ModelEvent};
use tokio::net::TcpListener;

use super::server::{Handle, Options, Server};
use super::{Dress, Recorder, Script, Scripted};
use crate::responses::Client;
use crate::testing::{ask, client};

/// One of everything, each reply asked for with what the one before it gave.
const SCRIPT: &str = r#"
[[reply]]
events = [
  { reasoning = "**Looking** around", pieces = 2 },
  { text = "I look.", phase = "commentary" },
  { delay_ms = 1 },
  { call = "exec_command", arguments = { cmd = "ls" }, pieces = 3 },
  { custom = "apply_patch", input = "*** Begin Patch\n*** End Patch" },
]
usage = { input_tokens = 100, cached_input_tokens = 60, output_tokens = 20 }

[[reply]]
error = { status = 429, headers = { retry-after = "2" }, code = "rate_limit_exceeded", message = "slow down" }

[[reply]]
failed = { code = "server_is_overloaded", message = "busy" }

[[reply]]
events = [{ text = "half a" }, { text = "not sent" }]
cut = { events = 1 }

[[reply]]
text = "cut in the first event"
cut = { bytes = 9 }

[[reply]]
text = "ends early"
cut = { bytes = 20, clean = true }

[[reply]]
text = "cut before the end"
cut = true

[[reply]]
events = [{ deltas = { count = 3, text = "x", kind = "reasoning" } }, { item = '{ "type":"web_search_call", "id":"ws_1" }' }]
finish = "output_limit"
end_turn = false

[[reply]]
expect = { contains = "what never comes" }
"#;

const REPLIES: usize = 9;

type Played = Vec<(Vec<ModelEvent>, Option<ModelError>)>;

/// Plays a conversation: items go into the next input, failures are asked for again.
async fn play(model: &dyn Model, requests: usize) -> Played {
    let mut input: Vec<String> = vec![r#"{"type":"message","role":"user","content":"go"}"#.into()];
    let mut played = Vec::new();
    for _ in 0..requests {
        let (events, error) = ask(model, &input.join(",")).await;
        input.extend(events.iter().filter_map(|event| match event {
            ModelEvent::Item(item) => Some(item.raw().to_owned()),
            _ => None,
        }));
        played.push((events, error));
    }
    played
}

/// Errors without their words, which name where they come from.
fn without_words(played: Played) -> Played {
    let error = |error: ModelError| ModelError {
        message: String::new(),
        ..error
    };
    played
        .into_iter()
        .map(|(events, failed)| (events, failed.map(error)))
        .collect()
}

async fn serve(text: &str, options: Options) -> (Handle, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::new(listener, Script::parse(text).unwrap(), options).unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    let client = client(&handle.base_url());
    (handle, client)
}

fn in_process(text: &str) -> Scripted {
    Scripted::new(Script::parse(text).unwrap())
}

#[tokio::test]
async fn in_process_everything_comes_as_written() {
    let played = play(&in_process(SCRIPT), REPLIES + 1).await;
    let kinds: Vec<Option<ErrorKind>> = played
        .iter()
        .map(|(_, error)| error.as_ref().map(|error| error.kind))
        .collect();
    use ErrorKind::{RateLimit, Script, Server, Stream};
    let failed = [
        Some(RateLimit),
        Some(Server),
        Some(Stream),
        Some(Stream),
        Some(Stream),
    ];
    assert_eq!(kinds[0], None);
    assert_eq!(kinds[1..6], failed);
    assert_eq!(kinds[6..], [Some(Stream), None, Some(Script), Some(Script)]);
    assert_eq!(
        played[1].1.as_ref().unwrap().retry_after,
        Some(Duration::from_secs(2))
    );

    let items = |at: usize| {
        let items = played[at]
            .0
            .iter()
            .filter(|event| matches!(event, ModelEvent::Item(_)));
        items.count()
    };
    assert_eq!(
        (0..REPLIES).map(items).collect::<Vec<_>>(),
        [4, 0, 0, 1, 0, 0, 1, 1, 0]
    );
    insta::assert_debug_snapshot!(played[7].0, @r#"
    [
        Started,
        Delta(
            Delta {
                kind: Reasoning,
                text: "x",
            },
        ),
        Delta(
            Delta {
                kind: Reasoning,
                text: "x",
            },
        ),
        Delta(
            Delta {
                kind: Reasoning,
                text: "x",
            },
        ),
        Item(
            Item(
                RawValue(
                    { "type":"web_search_call", "id":"ws_1" },
                ),
            ),
        ),
        Finished(
            Finish {
                reason: OutputLimit,
                response_id: "resp_r8",
                usage: None,
                end_turn: Some(
                    false,
                ),
            },
        ),
    ]
    "#);
}

#[tokio::test]
async fn over_http_the_same_comes_however_it_is_dressed() {
    let expected = without_words(play(&in_process(SCRIPT), REPLIES).await);
    let plain = Dress::default();
    let odd = Dress {
        crlf: true,
        bom: true,
        comments: true,
        only_data: true,
        ..Dress::default()
    };
    let dresses = [
        plain.clone(),
        Dress {
            chunk_bytes: Some(1),
            ..plain.clone()
        },
        Dress {
            chunk_bytes: Some(7),
            ..odd.clone()
        },
        odd,
    ];
    for (at, dress) in dresses.into_iter().enumerate() {
        let (handle, client) = serve(
            SCRIPT,
            Options {
                dress,
                ..Options::default()
            },
        )
        .await;
        let played = without_words(play(&client, REPLIES).await);
        assert_eq!(played, expected, "dress {at}");
        assert_eq!(handle.requests().len(), REPLIES);
        handle.stop();
    }
}

#[tokio::test]
async fn bodies_grow_only_at_their_end() {
    let (handle, client) = serve("[[reply]]\ntext = \"hi\"\ntimes = 4", Options::default()).await;
    play(&client, 4).await;
    let bodies: Vec<String> = handle
        .requests()
        .into_iter()
        .map(|request| request.body)
        .collect();
    for pair in bodies.windows(2) {
        let end_of_input = pair[0].rfind(']').unwrap();
        assert!(pair[1].starts_with(&pair[0][..end_of_input]), "{pair:#?}");
    }
    handle.stop();
}

#[tokio::test]
async fn sessions_do_not_mix_and_requests_are_kept_without_keys() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("requests.jsonl");
    let options = Options {
        requests_file: Some(file.clone()),
        ..Options::default()
    };
    let (handle, _) = serve(
        "[[reply]]\ntext = \"one\"\n[[reply]]\ntext = \"two\"",
        options,
    )
    .await;
    let mut provider = crate::testing::provider(&handle.base_url());
    provider.env_key = Some("KEY".into());
    let client = Client::new(&provider, &|_| Some("sk-secret".into())).unwrap();
    for session in ["a", "b"] {
        let mut request = crate::testing::request("");
        request.cache_key = session.into();
        let events = futures_util::StreamExt::collect::<Vec<_>>(client.respond(request)).await;
        assert!(
            format!("{events:?}").contains("msg_r1_0"),
            "{session}: {events:?}"
        );
    }
    assert_eq!(
        handle.requests()[0].headers["authorization"],
        "Bearer sk-secret"
    );
    let written = std::fs::read_to_string(file).unwrap();
    assert_eq!(written.lines().count(), 2);
    assert!(!written.contains("sk-secret"), "{written}");
    handle.stop();
}

#[tokio::test]
async fn what_is_recorded_plays_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("recording.jsonl");
    let recorder = Recorder::create(in_process(SCRIPT), &file).unwrap();
    let recorded = play(&recorder, REPLIES).await;
    let without_deltas = |played: Played| -> Played {
        let keep =
            |event: &ModelEvent| !matches!(event, ModelEvent::Delta(_) | ModelEvent::Started);
        let one = |(events, error): (Vec<ModelEvent>, _)| {
            (events.into_iter().filter(keep).collect(), error)
        };
        played.into_iter().map(one).collect()
    };
    let expected = without_deltas(recorded);
    let again = Scripted::open(&file).unwrap();
    assert_eq!(without_deltas(play(&again, REPLIES).await), expected);

    // Over HTTP all but the words, and the status of errors inside a stream, come again.
    let (handle, client) =
        serve(&std::fs::read_to_string(&file).unwrap(), Options::default()).await;
    let played = without_deltas(play(&client, REPLIES).await);
    for (at, (played, expected)) in played.iter().zip(&expected).enumerate() {
        assert_eq!(played.0, expected.0, "reply {at}");
        let kind = |error: &Option<ModelError>| error.as_ref().map(|error| error.kind);
        assert!(
            kind(&played.1) == kind(&expected.1)
                || kind(&expected.1) == Some(ErrorKind::Stream)
                    && kind(&played.1).is_some_and(ErrorKind::is_transient),
            "reply {at}: {:?}",
            played.1
        );
    }
    handle.stop();
}

#[tokio::test]
async fn a_recording_that_cannot_be_written_is_said_so() {
    let model = in_process("[[reply]]\ntext = \"a\"");
    let recorder = Recorder::create(model, std::path::Path::new("/dev/full")).unwrap();
    let (_, error) = ask(&recorder, "").await;
    assert!(
        error
            .unwrap()
            .message
            .starts_with("cannot write the recording")
    );
}

#[tokio::test]
async fn the_server_refuses_what_it_does_not_serve() {
    let (handle, client) = serve(SCRIPT, Options::default()).await;
    let error = ask(&client, "{").await.1.unwrap();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    let elsewhere = crate::testing::client(&format!("http://{}/v1/x?", handle.address()));
    assert!(
        ask(&elsewhere, "").await.1.is_none(),
        "any path that ends in responses"
    );
    handle.stop();
}

#[test]
fn the_documented_example_is_a_script() {
    let text = include_str!("../../../../docs/script.md");
    let mut examples = 0;
    for language in ["```toml\n", "```json\n"] {
        for part in text.split(language).skip(1) {
            Script::parse(part.split("```").next().unwrap()).unwrap();
            examples += 1;
        }
    }
    assert!(examples >= 2);
}
