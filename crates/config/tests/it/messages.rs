//! What people read when something is wrong.

use recto_config::Flags;

use crate::support::{Layers, wrong};

fn user(text: &str) -> String {
    wrong(&Layers {
        user: text,
        ..Layers::default()
    })
}

fn pairs(pairs: &[&str]) -> String {
    wrong(&Layers {
        pairs,
        ..Layers::default()
    })
}

#[test]
fn unknown_keys_are_told_with_what_may_be_meant() {
    insta::assert_snapshot!(user(
        "modle = \"x\"\ntelemetry = true\nnetwork_access = true\n\n[budget]\nstep = 5\nmodel = \"x\"\n[providers.gw]\nbase_urls = \"x\"\nprices = 1\n[profiles.fast]\nsandbox-mode = \"read-only\"\nprofile = \"y\"\n[env]\ninherit = \"all\"\n[tols]\nx = 1\n"
    ), @r#"
/home/me/.recto/config.toml:1:1: unknown key `modle`
  hint: did you mean `model`?
/home/me/.recto/config.toml:2:1: unknown key `telemetry`
  hint: docs/config.md lists the keys
/home/me/.recto/config.toml:3:1: unknown key `network_access`
  hint: did you mean `sandbox_workspace_write.network_access`?
/home/me/.recto/config.toml:6:1: unknown key `budget.step`
  hint: did you mean `steps`?
/home/me/.recto/config.toml:7:1: unknown key `budget.model`
  hint: `model` is a key of the top level; put it above the first [table]
/home/me/.recto/config.toml:9:1: unknown key `providers.gw.base_urls`
  hint: did you mean `base_url`?
/home/me/.recto/config.toml:10:1: unknown key `providers.gw.prices`
  hint: docs/config.md lists the keys
/home/me/.recto/config.toml:12:1: unknown key `profiles.fast.sandbox-mode`
  hint: did you mean `sandbox_mode`?
/home/me/.recto/config.toml:13:1: `profiles.fast.profile` is not allowed here: a profile holds values, it does not choose profiles or trust projects
/home/me/.recto/config.toml:15:1: unknown key `env.inherit`
  hint: known here: set, pass
/home/me/.recto/config.toml:16:2: unknown key `tols`
  hint: did you mean `tools`?
"#);
}

#[test]
fn type_errors_say_what_was_expected_and_point_at_the_value() {
    insta::assert_snapshot!(user(
        "model = 5\nchecks = \"make\"\nbudget = 3\nprovider = \"openai\"\r\nsandbox_mode = \"read-onli\"\nweb_search = \"on\"\nprofiles = 1\n[budgeting]\n[tools]\ncommand_timeout_secs = \"1h\"\ncheck_timeout_secs = -1\n[env]\npass = [\"A\", 5]\nset = { \"a b\" = \"x\" }\n[sandbox_workspace_write]\nwritable_roots = [\"/ok\", \"relative\"]\nnetwork_access = \"yes\"\n[projects.relative]\ntrust_level = \"trusted\"\n"
    ), @r#"
/home/me/.recto/config.toml:1:9: `model` must be a string of one line that is not empty, not a whole number
/home/me/.recto/config.toml:2:10: `checks` must be a list of commands that are not empty, not a string
/home/me/.recto/config.toml:3:10: `budget` must be a table, not a whole number
/home/me/.recto/config.toml:5:16: `sandbox_mode` must be "read-only", "workspace-write" or "danger-full-access"
  hint: did you mean "read-only"?
/home/me/.recto/config.toml:6:14: `web_search` must be "disabled", "cached" or "live", true or false
/home/me/.recto/config.toml:7:12: `profiles` must be a table, not a whole number
/home/me/.recto/config.toml:8:2: unknown key `budgeting`
  hint: did you mean `budget`?
/home/me/.recto/config.toml:10:24: `tools.command_timeout_secs` must be a whole number from 1 to 2592000, not a string
/home/me/.recto/config.toml:11:22: `tools.check_timeout_secs` must be a whole number from 1 to 2592000
/home/me/.recto/config.toml:13:14: `env.pass` must be a list of names of environment variables, not a whole number
/home/me/.recto/config.toml:14:9: `env.set."a b"` must be named like an environment variable
/home/me/.recto/config.toml:16:26: `sandbox_workspace_write.writable_roots` must be a list of absolute paths
/home/me/.recto/config.toml:17:18: `sandbox_workspace_write.network_access` must be true or false, not a string
/home/me/.recto/config.toml:18:11: `projects.relative` must be a table named by an absolute path
"#);
}

#[test]
fn values_that_cannot_be_used_are_told() {
    insta::assert_snapshot!(user(
        "model = \"\"\ninstruction_names = [\"../../.ssh/id_rsa\"]\n[budget]\nsteps = 0\ncost = -1.0\ntokens = 99999999999999999999\n[providers.gw]\nbase_url = \"gw.example.com\"\nenv_key = \"sk-live-1234\"\nwire_api = \"chat\"\nhttp_headers = { \"a b\" = \"x\", c = \"secret\\nheader\" }\n[providers.bare]\nname = \"x\"\n"
    ), @r#"
/home/me/.recto/config.toml:1:9: `model` must be a string of one line that is not empty
/home/me/.recto/config.toml:2:22: `instruction_names` must be a list of file names without directories
/home/me/.recto/config.toml:4:9: `budget.steps` must be a whole number from 1 to 4294967295
/home/me/.recto/config.toml:5:8: `budget.cost` must be an amount in dollars, like 2.5
/home/me/.recto/config.toml:6:10: `budget.tokens` must be a whole number of at least 1
/home/me/.recto/config.toml:8:12: `providers.gw.base_url` must be an http:// or https:// address
/home/me/.recto/config.toml:9:11: `providers.gw.env_key` must be the name of an environment variable (not its value)
/home/me/.recto/config.toml:10:12: `providers.gw.wire_api` must be "responses"
  hint: only the Responses API is supported so far, Chat Completions is not
/home/me/.recto/config.toml:11:18: `providers.gw.http_headers."a b"` must be named like an HTTP header
/home/me/.recto/config.toml:11:35: `providers.gw.http_headers.c` must be a string that an HTTP header can carry
"#);
}

#[test]
fn names_must_refer_to_something() {
    insta::assert_snapshot!(user("provider = \"olama\"\nproviders.gw.name = \"x\"\nmodels.m.prices.input = 1\n"), @r#"
/home/me/.recto/config.toml:1:1: there is no provider named "olama"
  hint: did you mean "ollama"?
/home/me/.recto/config.toml:2:1: `providers.gw` lacks `base_url`
/home/me/.recto/config.toml:3:1: `models.m.prices` lacks `output`
"#);
    insta::assert_snapshot!(wrong(&Layers {
        user: "profiles.fast.model = \"x\"",
        flags: Flags { profile: Some("slow".to_owned()), ..Flags::default() },
        ..Layers::default()
    }), @r#"
--profile: there is no profile named "slow"
  hint: there are: fast
"#);
}

#[test]
fn one_key_in_two_spellings_is_told() {
    insta::assert_snapshot!(user(
        "provider = \"openai\"\nmodel_provider = \"ollama\"\nopenai_base_url = \"http://a/v1\"\nbudget = { seconds = 1, minutes = 2 }\n[providers.openai]\nbase_url = \"http://b/v1\"\n[profiles.p]\nprovider = \"ollama\"\n"
    ), @r#"
/home/me/.recto/config.toml:2:1: `model_provider` sets `provider`, which line 1 sets already
/home/me/.recto/config.toml:4:25: `budget.minutes` sets `budget.seconds`, which line 4 sets already
/home/me/.recto/config.toml:6:1: `providers.openai.base_url` sets `providers.openai.base_url`, which line 3 sets already
"#);
}

#[test]
fn broken_toml_is_told_with_its_lines() {
    insta::assert_snapshot!(user("model = \nprovider = \"x\n[budget\nsteps = 1\nsteps = 2\n"), @r#"
/home/me/.recto/config.toml:1:9: string values must be quoted, expected literal string
/home/me/.recto/config.toml:2:14: invalid basic string, expected `"`
/home/me/.recto/config.toml:3:8: unclosed table, expected `]`
"#);
    insta::assert_snapshot!(user("a = 1\na = 2\n"), @r#"/home/me/.recto/config.toml:2:1: duplicate key"#);
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
    ]), @r#"
-c budget.stepz: unknown key `budget.stepz`
  hint: did you mean `steps`?
-c budget.steps: `budget.steps` must be a whole number from 1 to 4294967295, not a string
-c: expected key=value with a dotted key
  hint: for example -c budget.steps=50; parts of a key with dots or slashes are quoted: -c 'models."gpt-5.1".context_window=100000'
-c: expected key=value with a dotted key
  hint: for example -c budget.steps=50; parts of a key with dots or slashes are quoted: -c 'models."gpt-5.1".context_window=100000'
-c: expected key=value with a dotted key
  hint: for example -c budget.steps=50; parts of a key with dots or slashes are quoted: -c 'models."gpt-5.1".context_window=100000'
-c models.gpt-5.1.context_window: unknown key `models.gpt-5.1`
  hint: a name with dots is quoted, like models."gpt-5.1"
-c: expected key=value with a dotted key
  hint: for example -c budget.steps=50; parts of a key with dots or slashes are quoted: -c 'models."gpt-5.1".context_window=100000'
-c model.x: `model` must be a string of one line that is not empty, not a table
-c env.set.A: `env.set.A` must be a string without NUL, not a list
"#);
    insta::assert_snapshot!(wrong(&Layers {
        variables: &[("RECTO_SANDBOX", "none"), ("RECTO_NETWORK_ACCESS", "yes"), ("RECTO_PROVIDER", "nowhere")],
        flags: Flags {
            cost: Some(f64::NAN),
            add_dirs: vec!["relative".to_owned()],
            steps: Some(0),
            ..Flags::default()
        },
        ..Layers::default()
    }), @r#"
RECTO_SANDBOX: `sandbox_mode` must be "read-only", "workspace-write" or "danger-full-access"
RECTO_NETWORK_ACCESS: `sandbox_workspace_write.network_access` must be true or false, not a string
--add-dir: `sandbox_workspace_write.writable_roots` must be a list of absolute paths
--max-steps: `budget.steps` must be a whole number from 1 to 4294967295
--max-cost: `budget.cost` must be an amount in dollars, like 2.5
"#);
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
    for pair in [
        "env.set.TOKEN=hunter2\0",
        "env.sett.TOKEN=hunter2",
        "env.pass=hunter2",
    ] {
        assert!(!pairs(&[pair]).contains("hunter2"), "{}", pairs(&[pair]));
    }
}
