//! What `recto config show` prints.

use crate::support::{Layers, TRUST, outcome};

#[test]
fn each_value_is_shown_with_its_origin_and_secrets_are_not() {
    let user = format!(
        "{TRUST}checks = [\"make\"]\nbudget.cost = 2.5\nprovider = \"gw\"\n[env.set]\nTOKEN = \"hunter2\"\n[providers.gw]\nbase_url = \"https://me:hunter2@gw.example.com/v1?key=hunter2\"\nhttp_headers = {{ X-Key = \"hunter2\" }}\nquery_params = {{ key = \"hunter2\" }}\n"
    );
    let resolved = outcome(&Layers {
        user: &user,
        project: Some("checks = [\"make lint\"]"),
        variables: &[("RECTO_MODEL", "m")],
        pairs: &["env.pass=[\"SSL_CERT_FILE\"]"],
        ..Layers::default()
    })
    .unwrap();
    let (text, json) = (resolved.show(), resolved.show_json().to_string());
    assert!(!text.contains("hunter2"));
    assert!(!json.contains("hunter2"));
    assert!(!format!("{resolved:?}").contains("hunter2"));
    insta::assert_snapshot!(text, @"");
    let json = resolved.show_json();
    let some: Vec<String> = ["model", "checks", "env.set.TOKEN"]
        .map(|key| serde_json::to_string(&json[key]).unwrap())
        .to_vec();
    insta::assert_snapshot!(some.join("\n"), @"");
}

#[test]
fn origins_name_file_and_line() {
    let resolved = outcome(&Layers { user: "\n\nmodel = \"m\"", ..Layers::default() }).unwrap();
    let origin = &resolved.origins["model"];
    assert_eq!(origin.file.as_deref(), Some("/home/me/.recto/config.toml"));
    assert_eq!(origin.line, Some(3));
}
