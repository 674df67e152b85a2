//! What people read when something is wrong.

use recto_config::Flags;

use crate::support::{Layers, wrong};

fn user(text: &str) -> String {
    wrong(&Layers { user: text, ..Layers::default() })
}

fn pairs(pairs: &[&str]) -> String {
    wrong(&Layers { pairs, ..Layers::default() })
}

#[test]
fn unknown_keys_are_told_with_what_may_be_meant() {
    insta::assert_snapshot!(user(
        "modle = \"x\"\ntelemetry = true\nnetwork_access = true\n\n[budget]\nstep = 5\nmodel = \"x\"\n[providers.gw]\nbase_urls = \"x\"\nprices = 1\n[profiles.fast]\nsandbox-mode = \"read-only\"\nprofile = \"y\"\n[env]\ninherit = \"all\"\n[tols]\nx = 1\n"
    ), @"");
}

#[test]
fn type_errors_say_what_was_expected_and_point_at_the_value() {
    insta::assert_snapshot!(user(
        "model = 5\nchecks = \"make\"\nbudget = 3\nprovider = \"openai\"\r\nsandbox_mode = \"read-onli\"\nweb_search = \"on\"\nprofiles = 1\n[budgeting]\n[tools]\ncommand_timeout_secs = \"1h\"\ncheck_timeout_secs = -1\n[env]\npass = [\"A\", 5]\nset = { \"a b\" = \"x\" }\n[sandbox_workspace_write]\nwritable_roots = [\"/ok\", \"relative\"]\nnetwork_access = \"yes\"\n[projects.relative]\ntrust_level = \"trusted\"\n"
    ), @"");
}

#[test]
fn values_that_cannot_be_used_are_told() {
    insta::assert_snapshot!(user(
        "model = \"\"\ninstruction_names = [\"../../.ssh/id_rsa\"]\n[budget]\nsteps = 0\ncost = -1.0\ntokens = 99999999999999999999\n[providers.gw]\nbase_url = \"gw.example.com\"\nenv_key = \"sk-live-1234\"\nwire_api = \"chat\"\nhttp_headers = { \"a b\" = \"x\", c = \"secret\\nheader\" }\n[providers.bare]\nname = \"x\"\n"
    ), @"");
}

#[test]
fn names_must_refer_to_something() {
    insta::assert_snapshot!(user("provider = \"olama\"\nproviders.gw.name = \"x\"\nmodels.m.prices.input = 1\n"), @"");
    insta::assert_snapshot!(wrong(&Layers {
        user: "profiles.fast.model = \"x\"",
        flags: Flags { profile: Some("slow".to_owned()), ..Flags::default() },
        ..Layers::default()
    }), @"");
}

#[test]
fn one_key_in_two_spellings_is_told() {
    insta::assert_snapshot!(user(
        "provider = \"openai\"\nmodel_provider = \"ollama\"\nopenai_base_url = \"http://a/v1\"\nbudget = { seconds = 1, minutes = 2 }\n[providers.openai]\nbase_url = \"http://b/v1\"\n[profiles.p]\nprovider = \"ollama\"\n"
    ), @"");
}

#[test]
fn broken_toml_is_told_with_its_lines() {
    insta::assert_snapshot!(user("model = \nprovider = \"x\n[budget\nsteps = 1\nsteps = 2\n"), @"");
    insta::assert_snapshot!(user("a = 1\na = 2\n"), @"");
}

#[test]
fn pairs_variables_and_flags_are_told_by_name() {
    insta::assert_snapshot!(pairs(&[
        "budget.stepz=5",
        "budget.steps=many",
        "no-equals",
        "=x",
        "[model]=x",
        "models.gpt-5.1.context_window=5",
        "models./x.images=true",
        "model.x=1",
        "env.set.A=[1]",
    ]), @"");
    insta::assert_snapshot!(wrong(&Layers {
        variables: &[("RECTO_SANDBOX", "none"), ("RECTO_NETWORK_ACCESS", "yes"), ("RECTO_PROVIDER", "nowhere")],
        flags: Flags {
            cost: Some(f64::NAN),
            add_dirs: vec!["relative".to_owned()],
            steps: Some(0),
            ..Flags::default()
        },
        ..Layers::default()
    }), @"");
}

#[test]
fn messages_cannot_move_the_cursor_and_stay_short() {
    let long = "k".repeat(5000);
    let text = format!("\"\\u001b[2J\" = 1\n{long} = 1\n");
    let told = user(&text);
    assert!(!told.contains('\u{1b}'));
    assert!(told.len() < 1000, "{}", told.len());
    let many: String = (0..5000).map(|n| format!("unknown_{n} = 1\n")).collect();
    let told = user(&many);
    assert!(told.ends_with("and 4980 more"), "{told}");
}

#[test]
fn no_message_repeats_a_secret() {
    for text in [
        "providers.gw.http_headers.X = [\"hunter2\"]",
        "providers.gw.http_headers.X = \"hunter2\\n\"",
        "providers.gw.env_key = \"sk-hunter2\"",
        "providers.gw.base_url = \"ftp://me:hunter2@host\"",
        "env.set.TOKEN = [\"hunter2\"]",
        "env.set.TOKEN = \"hunter2\nmodel = 1",
    ] {
        assert!(!user(text).contains("hunter2"), "{}", user(text));
    }
    for pair in ["env.set.TOKEN=hunter2\0", "env.sett.TOKEN=hunter2", "env.pass=hunter2"] {
        assert!(!pairs(&[pair]).contains("hunter2"), "{}", pairs(&[pair]));
    }
}
