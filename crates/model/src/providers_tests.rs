//! Tests of providers and profiles.

use super::*;
use recto_protocol::profile::PatchTool;

fn table(text: &str) -> Table {
    text.parse().unwrap()
}

#[test]
fn the_built_in_file_has_no_mistake() {
    let tables = table(BUILTIN);
    let empty = Catalogue {
        providers: Table::new(),
        models: Table::new(),
    };
    let read = empty.merged(&tables).unwrap();
    assert_eq!(read, Catalogue::builtin());
    let keys: Vec<&str> = read.provider_keys().collect();
    assert_eq!(
        keys,
        [
            "azure",
            "lmstudio",
            "ollama",
            "openai",
            "openrouter",
            "vllm"
        ]
    );
    for key in keys {
        assert!(
            read.provider(key).unwrap().base_url.starts_with("http"),
            "{key}"
        );
    }
    for pattern in read.models.keys() {
        let (profile, known) = read.profile(pattern.trim_end_matches('*'));
        assert!(known, "{pattern}");
        assert!(
            profile.compact_limit() < profile.context_window,
            "{pattern}"
        );
    }
}

#[test]
fn models_are_found_by_name_prefix_and_without_their_vendor() {
    let catalogue = Catalogue::builtin();
    let find = |model: &str| {
        let (profile, known) = catalogue.profile(model);
        (
            known,
            profile.context_window,
            profile.apply_patch,
            profile.prices.map(|p| p.output),
        )
    };
    let (freeform, function) = (PatchTool::Freeform, PatchTool::Function);
    assert_eq!(find("gpt-5"), (true, 400_000, freeform, Some(10.0)));
    assert_eq!(
        find("gpt-5-2025-08-07"),
        (true, 400_000, freeform, Some(10.0))
    );
    assert_eq!(find("gpt-5-mini"), (true, 400_000, freeform, Some(2.0)));
    assert_eq!(
        find("gpt-5.9-codex"),
        (true, 400_000, freeform, None),
        "no made-up price"
    );
    assert_eq!(find("gpt-5-chat-latest"), (true, 128_000, function, None));
    assert_eq!(find("openai/gpt-5"), (true, 400_000, freeform, Some(10.0)));
    assert_eq!(find("gpt-oss:20b"), (true, 131_072, function, None));
    assert_eq!(find("my-model"), (false, 128_000, function, None));
}

#[test]
fn configuration_lies_over_what_is_known_field_by_field() {
    let config = table(
        r#"
        [providers.openai]
        base_url = "https://proxy.example/v1"
        [providers.mine]
        base_url = "http://localhost:9/v1"
        [models."gpt-5*"]
        context_window = 9
        [models."my-model"]
        prices = { input = 1, cached_input = 1, output = 1 }
        [other]
        unread = true
        "#,
    );
    let catalogue = Catalogue::builtin().merged(&config).unwrap();
    let openai = catalogue.provider("openai").unwrap();
    assert_eq!(openai.base_url, "https://proxy.example/v1");
    assert_eq!(openai.env_key.as_deref(), Some("OPENAI_API_KEY"));
    assert_eq!(catalogue.provider("mine").unwrap().name, "mine");
    assert_eq!(catalogue.provider("yours"), None);
    let (profile, _) = catalogue.profile("gpt-5");
    assert_eq!(
        (profile.context_window, profile.prices.unwrap().input),
        (9, 1.25)
    );
    assert!(catalogue.profile("my-model").1);
}

#[test]
fn mistakes_are_named() {
    let mistakes = [
        "providers = 1",
        "[providers]\nmine = 1",
        "[providers.mine]\nbase = \"x\"",
        "[models.\"x*\"]\ncontext_window = \"big\"",
    ];
    let said = mistakes.map(|text| {
        let error = Catalogue::builtin().merged(&table(text)).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let cause = cause.unwrap_or_default();
        format!("{error}: {}", cause.lines().next().unwrap_or_default())
    });
    insta::assert_snapshot!(said.join("\n"), @r#"
    providers must be a table: 
    providers.mine must be a table: 
    mistake in providers.mine: unknown field `base`, expected one of `name`, `base_url`, `env_key`, `key_header`, `http_headers`, `env_http_headers`, `query_params`, `stream_idle_timeout_secs`, `max_retries`, `default_model`
    mistake in models."x*": invalid type: string "big", expected u64
    "#);
}
