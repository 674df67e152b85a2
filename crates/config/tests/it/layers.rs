//! Which layer wins, and what the other spellings mean.

use recto_config::{Flags, WebSearch};
use recto_protocol::egress::Rules;
use recto_protocol::policy::{Access, Network, Policy};
use recto_protocol::profile::{Profile, Provider};
use recto_protocol::usage::Micros;

use crate::support::{Layers, check, outcome};

#[test]
fn nothing_said_gives_the_defaults() {
    check(
        &Layers::default(),
        &[
            "provider = \"openai\" # default",
            "sandbox_mode = \"workspace-write\" # default",
            "sandbox_workspace_write.network_access = false # default",
            "tools.command_timeout_secs = 3600 # default",
            "! model",
            "! budget.steps",
        ],
    );
    let values = outcome(&Layers::default()).unwrap().values;
    assert_eq!(values.policy(), Policy::default());
    assert!(values.catalogue.is_empty());
}

#[test]
fn each_layer_wins_over_those_below_it() {
    let mut layers = Layers {
        user: "model = \"user\"\n[profiles.p]\nmodel = \"profile\"\n[projects.\"/repo\"]\ntrust_level = \"trusted\"",
        ..Layers::default()
    };
    check(
        &layers,
        &["model = \"user\" # user file /home/me/.recto/config.toml:1"],
    );
    layers.flags.profile = Some("p".to_owned());
    check(
        &layers,
        &["model = \"profile\" # profile p /home/me/.recto/config.toml:3"],
    );
    layers.project = Some("model = \"project\"");
    check(
        &layers,
        &["model = \"project\" # project file /repo/.recto/config.toml:1"],
    );
    layers.variables = &[("RECTO_MODEL", "variable")];
    check(&layers, &["model = \"variable\" # variable RECTO_MODEL"]);
    layers.flags.model = Some("flag".to_owned());
    check(&layers, &["model = \"flag\" # flag --model"]);
    layers.pairs = &["model=first", "model=pair"];
    check(&layers, &["model = \"pair\" # -c"]);
}

#[test]
fn profiles_are_chosen_by_pair_flag_variable_and_file_in_this_order() {
    let user = "profile = \"a\"\nprofiles.a.model = \"A\"\nprofiles.b.model = \"B\"\nprofiles.c.model = \"C\"\nprofiles.d.model = \"D\"";
    let mut layers = Layers {
        user,
        ..Layers::default()
    };
    let model = |layers: &Layers<'_>| outcome(layers).unwrap().values.model.unwrap();
    assert_eq!(model(&layers), "A");
    layers.variables = &[("RECTO_PROFILE", "b")];
    assert_eq!(model(&layers), "B");
    layers.flags.profile = Some("c".to_owned());
    assert_eq!(model(&layers), "C");
    layers.pairs = &["profile=d"];
    assert_eq!(model(&layers), "D");
    layers.pairs = &["profile=d", "profiles.d.model=E"];
    assert_eq!(model(&layers), "E");
}

#[test]
fn a_profile_may_hold_tables() {
    let user = "[profiles.x.budget]\nsteps = 3\n[profiles.x.providers.gw]\nbase_url = \"http://gw/v1\"\n[profiles.x]\nprovider = \"gw\"";
    let flags = Flags {
        profile: Some("x".to_owned()),
        ..Flags::default()
    };
    check(
        &Layers {
            user,
            flags,
            ..Layers::default()
        },
        &[
            "budget.steps = 3 # profile x /home/me/.recto/config.toml:2",
            "provider = \"gw\" # profile x /home/me/.recto/config.toml:6",
        ],
    );
    check(
        &Layers {
            user,
            ..Layers::default()
        },
        &["! budget.steps", "! providers.gw.base_url"],
    );
}

#[test]
fn other_spellings_mean_the_same() {
    check(
        &Layers {
            user: r#"
model_provider = "gw"
model_reasoning_effort = "high"
model_reasoning_summary = "auto"
sandbox_mode = "workspace"
project_doc_fallback_filenames = ["CLAUDE.md"]
openai_base_url = "http://localhost:1/v1"
web_search = true
budget.minutes = 2
[shell_environment_policy]
set = { CI = "1" }
[model_providers.gw]
name = "Gateway"
base_url = "https://gw.example.com/v1"
wire_api = "responses"
request_max_retries = 2
stream_max_retries = 5
stream_idle_timeout_ms = 1500
"#,
            ..Layers::default()
        },
        &[
            "provider = \"gw\" # user file /home/me/.recto/config.toml:2",
            "reasoning_effort = \"high\" # user file /home/me/.recto/config.toml:3",
            "reasoning_summary = \"auto\" # user file /home/me/.recto/config.toml:4",
            "sandbox_mode = \"workspace-write\" # user file /home/me/.recto/config.toml:5",
            "instruction_names = [\"CLAUDE.md\"] # user file /home/me/.recto/config.toml:6",
            "providers.openai.base_url = \"http://localhost:1/v1\" # user file /home/me/.recto/config.toml:7",
            "web_search = \"live\" # user file /home/me/.recto/config.toml:8",
            "budget.seconds = 120 # user file /home/me/.recto/config.toml:9",
            "env.set.CI = <hidden> # user file /home/me/.recto/config.toml:11",
            "providers.gw.max_retries = 5 # user file /home/me/.recto/config.toml:17",
            "providers.gw.stream_idle_timeout_secs = 2 # user file /home/me/.recto/config.toml:18",
        ],
    );
}

#[test]
fn what_the_sdk_passes_is_understood() {
    let pairs = [
        "model_reasoning_effort=\"medium\"",
        "sandbox_workspace_write.network_access=true",
        "web_search=\"live\"",
        "approval_policy=\"on-request\"",
        "openai_base_url=\"http://127.0.0.1:9/v1\"",
    ];
    let resolved = outcome(&Layers {
        pairs: &pairs,
        ..Layers::default()
    })
    .unwrap();
    assert_eq!(resolved.values.reasoning_effort.as_deref(), Some("medium"));
    assert_eq!(resolved.values.policy().network, Network::Open);
    assert_eq!(resolved.values.web_search, WebSearch::Live);
    assert_eq!(
        resolved.values.catalogue["providers"]["openai"]["base_url"].as_str(),
        Some("http://127.0.0.1:9/v1")
    );
    insta::assert_snapshot!(resolved.notices.join("\n"), @r#"-c approval_policy: approval_policy has no effect: this program never asks, what commands may do is set by sandbox_mode."#);
}

#[test]
fn pairs_are_toml_or_else_strings() {
    for (pair, expected) in [
        ("model=gpt-5.1", "model = \"gpt-5.1\" # -c"),
        ("model=5", "model = \"5\" # -c"),
        ("model = \"a b\"", "model = \"a b\" # -c"),
        ("model=a b", "model = \"a b\" # -c"),
        ("budget.steps=0x10", "budget.steps = 16 # -c"),
        ("budget={steps=3}", "budget.steps = 3 # -c"),
        ("checks=['a','b']", "checks = [\"a\", \"b\"] # -c"),
        (
            "models.'gpt=5'.images=false",
            "models.\"gpt=5\".images = false # -c",
        ),
        ("budget.cost=2", "budget.cost = 2 # -c"),
    ] {
        check(
            &Layers {
                pairs: &[pair],
                ..Layers::default()
            },
            &[expected],
        );
    }
    let pairs = [
        "env.set.A==b",
        "env.set.B=1 # x",
        "env.set.C=[1]x",
        "env.set.D=1.50",
    ];
    let values = outcome(&Layers {
        pairs: &pairs,
        ..Layers::default()
    })
    .unwrap()
    .values;
    let set: Vec<_> = values.env.set.into_values().collect();
    assert_eq!(set, ["=b", "1 # x", "[1]x", "1.50"]);
}

#[test]
fn flags_add_to_lists_and_replace_the_rest() {
    let flags = Flags {
        add_dirs: vec!["/b".to_owned()],
        checks: vec!["make".to_owned(), "make lint".to_owned()],
        steps: Some(7),
        cost: Some(0.25),
        tokens: Some(9),
        seconds: Some(8),
        sandbox_mode: Some("workspace".to_owned()),
        ..Flags::default()
    };
    let user = "checks = [\"make\"]\nsandbox_workspace_write.writable_roots = [\"/a\"]\n\
         sandbox_workspace_write.network_access = true\nbudget.steps = 5";
    let layers = Layers {
        user,
        flags,
        ..Layers::default()
    };
    check(
        &layers,
        &[
            "\"make lint\", # flag --check",
            "budget.steps = 7 # flag --max-steps",
        ],
    );
    let values = outcome(&layers).unwrap().values;
    assert_eq!(values.checks, ["make", "make lint"]);
    assert_eq!(values.budget.cost, Some(Micros(250_000)));
    assert_eq!(
        values.policy(),
        Policy {
            access: Access::WorkspaceWrite,
            network: Network::Open,
            writable: vec!["/a".to_owned(), "/b".to_owned()],
            ..Policy::default()
        }
    );
}

#[test]
fn the_policy_takes_only_what_its_mode_allows() {
    let user = "sandbox_workspace_write = { network_access = true, writable_roots = [\"/a\"] }";
    let policy = |mode: &str| {
        let flags = Flags {
            sandbox_mode: Some(mode.to_owned()),
            ..Flags::default()
        };
        outcome(&Layers {
            user,
            flags,
            ..Layers::default()
        })
        .unwrap()
        .values
        .policy()
    };
    let closed = Policy {
        access: Access::ReadOnly,
        ..Policy::default()
    };
    assert_eq!(policy("read-only"), closed);
    assert_eq!(policy("full").network, Network::Open);
}

#[test]
fn the_address_variable_is_for_the_selected_provider_and_below_flags_and_pairs() {
    let variables = [
        ("RECTO_BASE_URL", "http://env/v1"),
        ("RECTO_PROVIDER", "ollama"),
        ("RECTO_SANDBOX", ""),
    ];
    let mut layers = Layers {
        variables: &variables,
        ..Layers::default()
    };
    let line = "providers.ollama.base_url = \"http://env/v1\" # variable RECTO_BASE_URL";
    check(
        &layers,
        &[line, "sandbox_mode = \"workspace-write\" # default"],
    );
    layers.user = "providers.ollama.base_url = \"http://user/v1\"";
    check(&layers, &[line]);
    layers.pairs = &["providers.ollama.base_url=http://pair/v1"];
    check(
        &layers,
        &["providers.ollama.base_url = \"http://pair/v1\" # -c"],
    );
}

#[test]
fn the_catalogue_holds_what_protocol_types_take() {
    let user = r#"
[providers.gw]
base_url = "https://gw/v1"
env_key = "GW_KEY"
key_header = "api-key"
http_headers = { X-Team = "t" }
env_http_headers = { X-Token = "TOKEN" }
query_params = { api-version = "preview" }
stream_idle_timeout_secs = 9
max_retries = 0
default_model = "m"
wire_api = "responses"
[models."gpt-5*"]
context_window = 5
apply_patch = "freeform"
prices = { input = 1, output = 10.5 }
"#;
    let catalogue = outcome(&Layers {
        user,
        ..Layers::default()
    })
    .unwrap()
    .values
    .catalogue;
    let provider: Provider = catalogue["providers"]["gw"].clone().try_into().unwrap();
    assert_eq!(provider.http_headers["X-Team"], "t");
    assert_eq!(provider.max_retries, Some(0));
    let profile: Profile = catalogue["models"]["gpt-5*"].clone().try_into().unwrap();
    let prices = profile.prices.unwrap();
    assert_eq!(
        (prices.input, prices.cached_input, prices.output),
        (1.0, 1.0, 10.5)
    );
}

#[test]
fn limits_for_whichever_model_lose_only_to_a_stronger_layer() {
    let user = "model = \"m1\"\nmodel_context_window = 10\nmodel_max_output_tokens = 3\nmodels.m1.context_window = 20";
    let mut layers = Layers {
        user,
        ..Layers::default()
    };
    let mut profile = Profile::default();
    outcome(&layers).unwrap().values.adjust(&mut profile);
    assert_eq!(
        (profile.context_window, profile.max_output_tokens),
        (10, Some(3))
    );
    layers.pairs = &["models.'m*'.context_window=30"];
    let values = outcome(&layers).unwrap().values;
    assert_eq!(
        (values.model_context_window, values.model_max_output_tokens),
        (None, Some(3))
    );
}

#[test]
fn what_may_be_reached_is_part_of_the_policy() {
    let user = "egress = { allow = [\"example.com\"], presets = [\"rust\"] }";
    let policy = |more: &str| {
        let user = format!("{more}\n{user}");
        let layers = Layers {
            user: &user,
            ..Layers::default()
        };
        outcome(&layers).unwrap().values.policy()
    };
    let allowed = policy("network = \"allow\"");
    assert_eq!(allowed.network, Network::Allow);
    assert_eq!(
        allowed.egress,
        Rules::parse(["example.com", "preset:rust"]).unwrap()
    );
    // Rules are kept where they mean something only.
    assert_eq!(policy(""), Policy::default());
    let open = policy("network = \"allow\"\nsandbox_workspace_write.network_access = true");
    assert_eq!(open.network, Network::Open);
    let reading = policy("network = \"allow\"\nsandbox_mode = \"read-only\"");
    assert_eq!(reading.network, Network::Allow);
}

#[test]
fn a_credential_names_its_variable() {
    let credentials = |user| {
        let layers = Layers {
            user,
            ..Layers::default()
        };
        outcome(&layers).map(|resolved| resolved.values.egress.credentials)
    };
    let forge = credentials("[egress.credentials.forge]\nenv = \"TOKEN\"").unwrap();
    let forge = &forge["forge"];
    assert_eq!((forge.env.as_str(), &forge.header), ("TOKEN", &None));
    let error = credentials("[egress.credentials.forge]\nprefix = \"Bearer \"").unwrap_err();
    let text = error.to_string();
    assert!(text.contains("egress.credentials.forge"), "{text}");
    assert!(text.contains("env"), "{text}");
}

#[test]
fn what_is_no_rule_is_told_with_its_reason() {
    let user = "egress = { allow = [\"*.com\"], presets = [\"rusty\"] }";
    let layers = Layers {
        user,
        ..Layers::default()
    };
    let text = outcome(&layers).unwrap_err().to_string();
    assert!(text.contains("a wildcard is the first label"), "{text}");
    assert!(text.contains("there is no preset \"rusty\""), "{text}");
}
