//! Texts that were made to break a reader.

use proptest::prelude::*;
use recto_config::MAX_BYTES;

use crate::support::{Layers, TRUST, outcome, wrong};

fn user(text: &str) -> String {
    wrong(&Layers {
        user: text,
        ..Layers::default()
    })
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let large = "# padding\n".repeat(1 << 20);
    insta::assert_snapshot!(user(&large), @r#"/home/me/.recto/config.toml: 10485760 bytes are more than the 1048576 that are read"#);
    let pair = format!("model={}", "x".repeat(MAX_BYTES));
    insta::assert_snapshot!(wrong(&Layers { pairs: &[&pair], ..Layers::default() }), @r#"-c model: 1048586 bytes are more than the 1048576 that are read"#);
    let value = "x".repeat(MAX_BYTES + 1);
    let variables = [("RECTO_MODEL", value.as_str())];
    insta::assert_snapshot!(wrong(&Layers { variables: &variables, ..Layers::default() }), @r#"RECTO_MODEL: 1048577 bytes are more than the 1048576 that are read"#);
}

#[test]
fn deep_nesting_is_told_and_does_not_overflow_the_stack() {
    let levels = 200_000;
    for text in [
        format!("checks = {}", "[".repeat(levels)),
        format!("checks = {}{}", "[".repeat(levels), "]".repeat(levels)),
        format!("budget = {}", "{a=".repeat(levels)),
        format!("{}a = 1", "a.".repeat(levels)),
        format!("[{}a]", "a.".repeat(levels)),
        format!("[[{}a]]", "a.".repeat(levels)),
        format!("{}{}", "[profiles.x.".repeat(90), "]\n".repeat(90)),
        format!("[{}model]", "profiles.x.".repeat(30)),
    ] {
        let told = user(&text);
        assert!(
            !told.starts_with("nothing is wrong"),
            "{}",
            &told[..200.min(told.len())]
        );
        assert!(told.len() < 20_000);
        let pair = format!("checks={}", "[".repeat(levels));
        assert!(
            !wrong(&Layers {
                pairs: &[&pair],
                ..Layers::default()
            })
            .starts_with("nothing")
        );
    }
}

#[test]
fn marks_line_ends_and_nul_are_handled() {
    let read = outcome(&Layers {
        user: "\u{feff}model = \"m\"\r\n[budget]\r\nsteps = 1\r\n",
        ..Layers::default()
    });
    assert_eq!(read.unwrap().values.budget.steps, Some(1));
    insta::assert_snapshot!(user("\u{feff}modle = 1"), @r#"
/home/me/.recto/config.toml:1:1: unknown key `modle`
  hint: did you mean `model`?
"#);
    insta::assert_snapshot!(user("model = \"a\0b\""), @r#"/home/me/.recto/config.toml:1:11: invalid basic string, expected non-double-quote visible characters, `\`"#);
    insta::assert_snapshot!(user("model = \"a\\u0000b\"\nchecks = [\"a\\u0000\"]\nenv.set.A = \"\\u0000\""), @r#"
/home/me/.recto/config.toml:1:9: `model` must be a string of one line that is not empty
/home/me/.recto/config.toml:2:11: `checks` must be a list of commands that are not empty
/home/me/.recto/config.toml:3:13: `env.set.A` must be a string without NUL
"#);
}

#[test]
fn a_file_of_nothing_but_mistakes_is_read_in_good_time() {
    let mut texts = vec![
        "x=1\n".repeat(30_000),
        "=".repeat(120_000),
        "\n[".repeat(60_000),
    ];
    texts.push((0..20_000).map(|n| format!("k{n} = {n}\n")).collect());
    let line: String = (0..20_000).map(|n| format!("k{n}=1,")).collect();
    texts.push(format!("budget={{{line}z=1}}"));
    texts.push((0..10_000).map(|n| format!("[models.m{n}]\n")).collect());
    for text in texts {
        user(&text);
        wrong(&Layers {
            user: TRUST,
            project: Some(&text),
            ..Layers::default()
        });
    }
    // It ends: read quadratically, this would take many minutes.
}

/// Text that looks enough like a configuration to get past the parser.
fn plausible() -> impl Strategy<Value = String> {
    let key = prop::sample::select(
        recto_config::known_keys()
            .iter()
            .flat_map(|key| {
                key.name
                    .split('.')
                    .chain(key.aliases.iter().map(|alias| alias.name))
            })
            .chain([
                "profiles",
                "x",
                "\"a.b\"",
                "''",
                "openai_base_url",
                "model_providers",
            ])
            .map(|name| if name == "*" { "star" } else { name })
            .collect::<Vec<_>>(),
    );
    let keys = prop::collection::vec(key, 1..5).prop_map(|parts| parts.join("."));
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "0",
        "1.5",
        "nan",
        "inf",
        "true",
        "\"x\"",
        "\"/abs\"",
        "\"trusted\"",
        "[]",
        "[\"x\"]",
        "{}",
        "{ x = 1 }",
        "[[1]]",
        "1979-05-27",
        "\"http://h/\"",
        "\"read-only\"",
        "9223372036854775807",
        "99999999999999999999",
        "1e308",
        "\"\\u0000\"",
        "'''a\nb'''",
    ]);
    let line = (keys, value, 0..4).prop_map(|(keys, value, shape)| match shape {
        0 => format!("[{keys}]\n"),
        1 => format!("[[{keys}]]\n"),
        _ => format!("{keys} = {value}\n"),
    });
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(user in any::<String>(), project in any::<String>(), pair in any::<String>()) {
        let project = Some(project.as_str());
        let _ = outcome(&Layers { user: &user, project, ..Layers::default() });
        let _ = outcome(&Layers { user: TRUST, project, pairs: &[&pair], ..Layers::default() });
    }

    #[test]
    fn no_plausible_text_panics_and_no_project_widens(user in plausible(), project in plausible()) {
        if let Ok(resolved) = outcome(&Layers { user: &user, ..Layers::default() }) {
            let (_, _, _) = (resolved.show(), resolved.show_json(), resolved.values.policy());
        }
        let before = outcome(&Layers { user: TRUST, ..Layers::default() }).unwrap().values;
        if let Ok(resolved) = outcome(&Layers { user: TRUST, project: Some(&project), ..Layers::default() }) {
            let after = resolved.values;
            prop_assert!(after.sandbox_mode <= before.sandbox_mode);
            prop_assert_eq!(after.sandbox_workspace_write, before.sandbox_workspace_write);
            prop_assert_eq!(after.env, before.env);
            prop_assert_eq!(after.catalogue, before.catalogue);
            prop_assert_eq!(after.provider, before.provider);
            prop_assert!(after.tools.command_timeout_secs <= before.tools.command_timeout_secs);
        }
    }

    #[test]
    fn no_pair_panics(key in "[a-z.\"'*\\[\\]#\\n= ]{0,12}", value in any::<String>(), plausible in plausible()) {
        let pair = format!("{key}={value}");
        let _ = outcome(&Layers { pairs: &[&pair, plausible.trim()], ..Layers::default() });
        let _ = outcome(&Layers { variables: &[("RECTO_BASE_URL", &value), ("RECTO_PROVIDER", &key)], ..Layers::default() });
    }

    #[test]
    fn any_string_arrives_as_it_is(value in "[^\\x00]*") {
        let quoted = toml::Value::String(value.clone()).to_string();
        let pair = format!("env.set.A={quoted}");
        let values = outcome(&Layers { pairs: &[&pair], ..Layers::default() }).unwrap().values;
        prop_assert_eq!(&values.env.set["A"], &value);
    }
}
