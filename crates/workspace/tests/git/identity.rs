//! Who commits.

use std::fs;

use recto_workspace::git::{Identity, UserConfig, identity};

use crate::common::{Fixture, git};

#[tokio::test]
async fn the_repository_before_the_user() {
    let fixture = Fixture::new();
    let home = fixture.dir.path().join("home");
    fs::create_dir(&home).unwrap();
    let user = UserConfig {
        home: home.clone(),
        xdg_config_home: None,
    };
    let read = || async {
        identity(&git(), &user, Some(&fixture.repository()))
            .await
            .unwrap()
    };
    let is = |name: Option<&str>, email: Option<&str>| Identity {
        name: name.map(Into::into),
        email: email.map(Into::into),
    };
    assert_eq!(read().await, is(None, None));

    fs::write(
        home.join(".gitconfig"),
        "[include]\n\tpath = ~/more\n[user]\n\tname = Ü Ser\n",
    )
    .unwrap();
    fs::write(home.join("more"), "[user]\n\temail = u@example.org\n").unwrap();
    assert_eq!(read().await, is(Some("Ü Ser"), Some("u@example.org")));

    fs::create_dir_all(home.join(".config/git")).unwrap();
    fs::write(
        home.join(".config/git/config"),
        "[user]\n\tname = X\n\temail = x@example.org\n",
    )
    .unwrap();
    assert_eq!(read().await, is(Some("Ü Ser"), Some("u@example.org")));

    // What the repository includes is not followed; what it says is cleaned.
    let theirs = fixture.dir.path().join("theirs");
    fs::write(&theirs, "[user]\n\temail = included@example.org\n").unwrap();
    fixture.git(&["config", "include.path", theirs.to_str().unwrap()]);
    fixture.git(&["config", "user.name", "Repo\nsitory <x>"]);
    assert_eq!(
        read().await,
        is(Some("Repository x"), Some("u@example.org"))
    );

    fixture.write(".git/config", "[nonsense");
    assert_eq!(read().await, is(Some("Ü Ser"), Some("u@example.org")));
}
