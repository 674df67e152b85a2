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
    insta::assert_snapshot!(text, @r#"
approval_policy = "never"                         # default
budget.cost = 2.5                                 # user file /home/me/.recto/config.toml:3
cell.backend = "namespaces"                       # default
cell.disk_mib = 102400                            # default
cell.files = 2000000                              # default
cell.open_files = 65536                           # default
cell.output_mib = 10240                           # default
cell.processes = 4096                             # default
checks = [
  "make",                                         # user file /home/me/.recto/config.toml:2
  "make lint",                                    # project file /repo/.recto/config.toml:1
]
env.pass = ["SSL_CERT_FILE"]                      # -c
env.set.TOKEN = <hidden>                          # user file /home/me/.recto/config.toml:6
instruction_names = []                            # default
model = "m"                                       # variable RECTO_MODEL
network = "none"                                  # default
projects."/repo".trust_level = "trusted"          # user file /home/me/.recto/config.toml:1
provider = "gw"                                   # user file /home/me/.recto/config.toml:4
providers.gw.base_url = "https://<hidden>@gw.example.com/v1?<hidden>"  # user file /home/me/.recto/config.toml:8
providers.gw.http_headers.X-Key = <hidden>        # user file /home/me/.recto/config.toml:9
providers.gw.query_params.key = <hidden>          # user file /home/me/.recto/config.toml:10
readable_roots = []                               # default
sandbox_mode = "workspace-write"                  # default
sandbox_workspace_write.network_access = false    # default
sandbox_workspace_write.writable_roots = []       # default
tools.check_timeout_secs = 1800                   # default
tools.command_timeout_secs = 3600                 # default
web_search = "disabled"                           # default
"#);
    let json = resolved.show_json();
    let some: Vec<String> = ["model", "checks", "env.set.TOKEN"]
        .map(|key| serde_json::to_string(&json[key]).unwrap())
        .to_vec();
    insta::assert_snapshot!(some.join("\n"), @r#"
{"layer":"environment","name":"RECTO_MODEL","value":"m"}
{"file":"/repo/.recto/config.toml","items":[{"file":"/home/me/.recto/config.toml","layer":"user","line":2,"value":"make"},{"file":"/repo/.recto/config.toml","layer":"project","line":1,"value":"make lint"}],"layer":"project","line":1,"value":["make","make lint"]}
{"file":"/home/me/.recto/config.toml","hidden":true,"layer":"user","line":6,"value":null}
"#);
}

#[test]
fn origins_name_file_and_line() {
    let resolved = outcome(&Layers {
        user: "\n\nmodel = \"m\"",
        ..Layers::default()
    })
    .unwrap();
    let origin = &resolved.origins["model"];
    assert_eq!(origin.file.as_deref(), Some("/home/me/.recto/config.toml"));
    assert_eq!(origin.line, Some(3));
}
