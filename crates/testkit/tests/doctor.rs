//! `recto doctor` and `recto config show`: what users ask when something does not work.

#![allow(clippy::unwrap_used)]

use recto_testkit::{Home, Repository, User};
use serde_json::Value;

fn findings(home: &Home, repo: &Repository, code: i32) -> Vec<Value> {
    let run = home
        .run(repo.path(), &["doctor", "--json", "--offline"])
        .expect(code);
    serde_json::from_str(&run.stdout).unwrap()
}

fn finding<'a>(findings: &'a [Value], name: &str) -> &'a Value {
    findings
        .iter()
        .find(|finding| finding["name"] == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_machine_that_works_is_called_so_as_root_and_as_an_ordinary_user() {
    for user in User::all() {
        let (home, repo) = (Home::of(user), Repository::new(&[("a.txt", "a\n")]));
        repo.give_to(user);
        let found = findings(&home, &repo, 0);
        for name in ["cell", "git", "home", "configuration"] {
            assert_eq!(
                finding(&found, name)["status"],
                "ok",
                "{user:?}: {found:#?}"
            );
        }
        let isolation = finding(&found, "isolation");
        assert_eq!(isolation["status"], "ok", "{user:?}: {isolation}");
        let key = finding(&found, "model key");
        assert_eq!(key["status"], "warning");
        assert!(key["remedy"].as_str().unwrap().contains("OPENAI_API_KEY"));

        let text = home
            .run(repo.path(), &["doctor", "--offline"])
            .expect(0)
            .stdout;
        for finding in &found {
            let line = format!(
                "{:<8} {}: ",
                finding["status"].as_str().unwrap(),
                finding["name"].as_str().unwrap()
            );
            assert!(text.contains(&line), "{line:?} is not in {text}");
        }
    }
}

#[test]
fn gvisors_cells_are_tried_where_it_is_installed() {
    let installed = std::process::Command::new("runsc")
        .arg("--version")
        .output();
    if installed.is_err() {
        println!("*** NOT RUN: there is no runsc");
        return;
    }
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    home.configure("cell.backend = \"gvisor\"\n");
    let found = findings(&home, &repo, 0);
    assert_eq!(finding(&found, "isolation")["status"], "ok", "{found:#?}");
}

#[test]
fn a_key_that_is_set_is_found_and_never_shown() {
    let (mut home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    home.set("OPENAI_API_KEY", "sk-bait");
    for args in [
        &["doctor", "--offline"][..],
        &["doctor", "--json", "--offline"],
    ] {
        let run = home.run(repo.path(), args).expect(0);
        assert!(!run.stdout.contains("sk-bait") && !run.stderr.contains("sk-bait"));
    }
    assert_eq!(
        finding(&findings(&home, &repo, 0), "model key")["status"],
        "ok"
    );
}

#[test]
fn a_broken_configuration_is_a_finding_and_not_the_end() {
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    home.configure("modle = \"x\"\n");
    let found = findings(&home, &repo, 4);
    let configuration = finding(&found, "configuration");
    assert_eq!(configuration["status"], "failed");
    assert!(
        configuration["detail"]
            .as_str()
            .unwrap()
            .contains("unknown key `modle`")
    );
    assert_eq!(finding(&found, "cell")["status"], "ok");
}

#[test]
fn every_value_is_shown_with_where_it_comes_from() {
    let (mut home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    home.configure("model = \"from-file\"\nchecks = [\"true\"]\nenv.set.TOKEN = \"sk-bait\"\n");
    home.set("RECTO_SANDBOX", "read-only");
    let args = ["config", "show", "-c", "budget.steps=3"];
    let run = home.run(repo.path(), &args).expect(0);
    let line = |key: &str| {
        let mut lines = run.stdout.lines();
        lines
            .find(|line| line.starts_with(&format!("{key} = ")))
            .unwrap_or_default()
            .to_owned()
    };
    for (key, value, origin) in [
        ("model", "\"from-file\"", "config.toml:1"),
        ("checks", "[\"true\"]", "config.toml:2"),
        ("sandbox_mode", "\"read-only\"", "variable RECTO_SANDBOX"),
        ("budget.steps", "3", "-c"),
        ("provider", "\"openai\"", "default"),
    ] {
        let line = line(key);
        assert!(
            line.contains(value) && line.contains(origin),
            "{key}: {}",
            run.stdout
        );
    }
    assert!(!run.stdout.contains("sk-bait"), "{}", run.stdout);
    let json = home
        .run(repo.path(), &["config", "show", "--json"])
        .expect(0)
        .stdout;
    assert!(
        serde_json::from_str::<Value>(&json).is_ok() && !json.contains("sk-bait"),
        "{json}"
    );
}

#[test]
fn a_key_file_that_is_not_followed_is_named_with_the_reason() {
    use std::os::unix::fs::PermissionsExt as _;
    let (home, repo) = (Home::new(), Repository::new(&[("a.txt", "a\n")]));
    home.write(".recto/keys.toml", "OPENAI_API_KEY = \"sk-bait\"\n");
    let path = home.recto().join("keys.toml");
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    for (bits, text, told) in [
        (
            0o644,
            "OPENAI_API_KEY = \"sk-bait\"\n",
            "its mode is 0644; chmod 600 ",
        ),
        (0o600, "# keys\nOPENAI_API_KEY = sk-bait\n", "line 2 of "),
    ] {
        std::fs::write(&path, text).unwrap();
        mode(bits).unwrap();
        let found = findings(&home, &repo, 0);
        let detail = finding(&found, "key file")["detail"].as_str().unwrap();
        assert!(detail.starts_with("keys.toml is ignored: "), "{detail}");
        assert!(detail.contains(told), "{detail}");
        let run = home.run(repo.path(), &["exec", "do it"]).expect(2);
        assert!(run.stderr.contains(detail), "{}", run.stderr);
        assert!(!run.stderr.contains("sk-bait"), "{}", run.stderr);
    }
}
