//! What tells the common tools about the proxy.

use std::net::SocketAddrV4;

/// What the proxy behind the door lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachable {
    /// Something.
    Outside,
    /// Nothing: tools should not try again.
    Nothing,
}

/// Variables that take the proxy's address.
const PROXY: &[&str] = &[
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    // Tools that have a setting of their own, which would win over the above.
    "CARGO_HTTP_PROXY",
    "npm_config_proxy",
    "npm_config_https_proxy",
    "YARN_HTTP_PROXY",
    "YARN_HTTPS_PROXY",
];

/// Variables that name what is reached without it: the cell's own servers.
const DIRECT: &[&str] = &["NO_PROXY", "no_proxy", "npm_config_noproxy"];

/// Variables that take the path of a file with trusted certificates.
const TRUSTED: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
    "YARN_HTTPS_CA_FILE_PATH",
    "CARGO_HTTP_CAINFO",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "BUNDLE_SSL_CA_CERT",
    "DENO_CERT",
    "NIX_SSL_CERT_FILE",
];

/// Settings that keep tools from trying again what will fail again.
const ONCE: &[(&str, &str)] = &[
    // Without any, pip does not say why it failed.
    ("PIP_RETRIES", "1"),
    ("UV_HTTP_RETRIES", "0"),
    ("npm_config_fetch_retries", "0"),
    ("CARGO_NET_RETRY", "0"),
    ("BUNDLE_RETRY", "0"),
];

/// Settings that keep tools from asking for what nobody wants to know in a cell.
const QUIET: &[(&str, &str)] = &[
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("npm_config_update_notifier", "false"),
    ("npm_config_audit", "false"),
    ("npm_config_fund", "false"),
];

/// The variables for a cell whose proxy is behind `door`. `ca_path`: a file inside with the cell's
/// authority and all that the system trusts, when there is an authority.
pub fn environment(
    door: SocketAddrV4,
    ca_path: Option<&str>,
    reachable: Reachable,
) -> Vec<(String, String)> {
    let proxy = format!("http://{door}");
    let all = |names: &[&str], value: &str| {
        let pair = |name: &&str| ((*name).to_owned(), value.to_owned());
        names.iter().map(pair).collect::<Vec<_>>()
    };
    let pairs = |pairs: &[(&str, &str)]| {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect::<Vec<_>>()
    };
    let mut variables = all(PROXY, &proxy);
    variables.extend(all(DIRECT, "localhost,127.0.0.1,::1"));
    // Node's own client, from version 24.
    variables.push(("NODE_USE_ENV_PROXY".to_owned(), "1".to_owned()));
    let java = java(door, reachable);
    variables.extend(all(&["MAVEN_OPTS", "GRADLE_OPTS", "SBT_OPTS"], &java));
    variables.extend(pairs(QUIET));
    if let Some(path) = ca_path {
        variables.extend(all(TRUSTED, path));
    }
    if reachable == Reachable::Nothing {
        variables.extend(pairs(ONCE));
    }
    variables
}

/// The build tools' own variables, since `JAVA_TOOL_OPTIONS` makes every start of Java print a line.
fn java(door: SocketAddrV4, reachable: Reachable) -> String {
    let (host, port) = (door.ip(), door.port());
    let mut options = String::new();
    for scheme in ["http", "https"] {
        options.push_str(&format!(
            "-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port} "
        ));
    }
    options.push_str("-Dhttp.nonProxyHosts=localhost|127.*|[::1] ");
    // Maven's transports look at these properties only when told to.
    options.push_str("-Daether.connector.http.useSystemProperties=true");
    if reachable == Reachable::Nothing {
        options.push_str(" -Daether.connector.http.retryHandler.count=0");
        options.push_str(" -Dmaven.wagon.http.retryHandler.count=0");
    }
    options
}
