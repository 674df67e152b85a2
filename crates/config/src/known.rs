//! The key table. A new key is a row here, and a field in `settings`; tests hold both together.

use crate::keys::{Alias, InProject, Key, Scale};
use crate::value::{Kind, LARGEST, ListOf};

/// All keys of the file, in the order of the reference.
pub fn known_keys() -> &'static [Key] {
    KEYS
}

const WIDENS: InProject = InProject::Refused(
    "a project's file may narrow what is allowed, never widen it; put it in your own file",
);
const ELSEWHERE: InProject = InProject::Refused(
    "a project's file must not decide where requests go or what is sent with them",
);
const YOURS: InProject = InProject::Refused("only your own file can say this");

const POSITIVE: Kind = Kind::Count {
    least: 1,
    most: LARGEST,
};
const SMALL: Kind = Kind::Count {
    least: 1,
    most: u32::MAX as u64,
};
/// What fits into a number of bytes.
const MEBIBYTES: u64 = LARGEST >> 20;
const TIMEOUT: Kind = Kind::Count {
    least: 1,
    most: 30 * 24 * 3600,
};

const NONE: &[Alias] = &[];

const fn same(name: &'static str) -> Alias {
    Alias {
        name,
        scale: Scale::Same,
    }
}

const fn key(
    name: &'static str,
    aliases: &'static [Alias],
    kind: Kind,
    project: InProject,
    meaning: &'static str,
    example: &'static str,
) -> Key {
    Key {
        name,
        aliases,
        kind,
        project,
        secret: false,
        meaning,
        example,
    }
}

const fn secret(key: Key) -> Key {
    Key {
        secret: true,
        ..key
    }
}

#[rustfmt::skip]
const KEYS: &[Key] = &[
    // --- Model ---
    key("model", NONE, Kind::Text, InProject::Model,
        "The model. None: the provider's default model.",
        r#"model = "gpt-5.1-codex""#),
    key("provider", &[same("model_provider")], Kind::Text, ELSEWHERE,
        "The provider: a built-in one, or one of `[providers]`.",
        r#"provider = "ollama""#),
    key("reasoning_effort", &[same("model_reasoning_effort")], Kind::Text, InProject::Set,
        "How long the model may think: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, or what else it takes. None: the model's default.",
        r#"reasoning_effort = "high""#),
    key("reasoning_summary", &[same("model_reasoning_summary")], Kind::Text, YOURS,
        "Which summary of its thinking the model gives: `auto`, `concise`, `detailed`, `none`.",
        r#"reasoning_summary = "auto""#),
    key("model_context_window", NONE, POSITIVE, YOURS,
        "Tokens that fit into one request and its answer, whichever model is used.",
        "model_context_window = 200000"),
    key("model_auto_compact_token_limit", NONE, POSITIVE, YOURS,
        "Tokens at which the conversation is compacted, whichever model is used.",
        "model_auto_compact_token_limit = 150000"),
    key("model_max_output_tokens", NONE, POSITIVE, YOURS,
        "Most tokens per response to ask for, whichever model is used.",
        "model_max_output_tokens = 32000"),
    key("web_search", NONE, Kind::Switch {
            names: &[("disabled", &[]), ("cached", &[]), ("live", &[])], off: "disabled", on: "live",
        }, WIDENS,
        "Whether the provider may search the web for the model; `true` means `live`.",
        r#"web_search = "disabled""#),

    // --- What commands may do ---
    key("sandbox_mode", NONE, Kind::Choice(&[
            ("read-only", &[]), ("workspace-write", &["workspace"]), ("danger-full-access", &["full"]),
        ]), InProject::Narrow,
        "What commands may write: nothing, the work tree, or everything without a cell.",
        r#"sandbox_mode = "read-only""#),
    key("sandbox_workspace_write.network_access", NONE, Kind::Bool, InProject::Off,
        "Whether commands reach the network in `workspace-write`.",
        "sandbox_workspace_write.network_access = true"),
    key("sandbox_workspace_write.writable_roots", NONE, Kind::List(ListOf::Paths), WIDENS,
        "Further directories that commands may write in `workspace-write`.",
        r#"sandbox_workspace_write.writable_roots = ["/srv/cache"]"#),
    key("network", NONE, Kind::Choice(&[("none", &[]), ("allow", &[]), ("open", &[])]), InProject::Narrow,
        "What commands may reach in a cell: nothing, what `[egress]` allows, or everything.",
        r#"network = "allow""#),
    key("egress.allow", NONE, Kind::List(ListOf::Rules), WIDENS,
        "What `network = \"allow\"` lets commands reach; `docs/egress.md` has the forms. Empty: nothing.",
        r#"egress.allow = ["example.com", "GET https://api.example.com/v1/*"]"#),
    key("egress.presets", NONE, Kind::List(ListOf::Presets), WIDENS,
        "Named lists of such rules, for package registries.",
        r#"egress.presets = ["rust", "npm"]"#),
    key("egress.credentials.*.env", NONE, Kind::Variable, ELSEWHERE,
        "The variable that holds the credential which rules with `inject=NAME` add; commands never see it.",
        r#"egress.credentials.forge = { env = "FORGE_TOKEN", prefix = "Bearer " }"#),
    key("egress.credentials.*.header", NONE, Kind::HeaderName, ELSEWHERE,
        "The header that carries the credential. None: `authorization`.",
        r#"egress.credentials.forge = { env = "FORGE_TOKEN", header = "private-token" }"#),
    key("egress.credentials.*.prefix", NONE, Kind::Header, ELSEWHERE,
        "What stands before the credential in its header, space included. None: nothing.",
        r#"egress.credentials.forge = { env = "FORGE_TOKEN", prefix = "token " }"#),
    key("egress.up_mib", NONE, Kind::Count { least: 1, most: MEBIBYTES }, InProject::Lower,
        "What a cell may send with `network = \"allow\"` in its whole life, in MiB. None: no limit.",
        "egress.up_mib = 100"),
    key("egress.down_mib", NONE, Kind::Count { least: 1, most: MEBIBYTES }, InProject::Lower,
        "What a cell may receive, likewise.",
        "egress.down_mib = 10240"),
    key("readable_roots", NONE, Kind::List(ListOf::Paths), WIDENS,
        "Further directories that commands may read, such as toolchains outside the usual places.",
        r#"readable_roots = ["/srv/toolchains"]"#),
    key("cell.backend", NONE, Kind::Choice(&[("namespaces", &[]), ("gvisor", &[])]), YOURS,
        "What keeps commands apart: the kernel's namespaces, or gVisor's `runsc`, which must be installed. Without isolation: `sandbox_mode`.",
        r#"cell.backend = "gvisor""#),
    key("approval_policy", NONE, Kind::Choice(&[
            ("never", &[]), ("on-request", &[]), ("on-failure", &[]), ("untrusted", &[]),
        ]), YOURS,
        "Accepted for scripts and without effect: this program never asks, the cell is the boundary.",
        r#"approval_policy = "never""#),
    secret(key("env.set.*", NONE, Kind::Anything, WIDENS,
        "A variable that commands see, with its value.",
        r#"env.set.CI = "1""#)),
    key("env.pass", NONE, Kind::List(ListOf::Variables), WIDENS,
        "Which of your own variables commands see. Keys and tokens named here are readable by the model.",
        r#"env.pass = ["SSL_CERT_FILE"]"#),

    // --- What commands may take, all of a cell together unless it says otherwise ---
    key("cell.memory_mib", NONE, Kind::Count { least: 64, most: MEBIBYTES }, YOURS,
        "Memory with swap and scratch files, in MiB. None: three quarters of the machine's.",
        "cell.memory_mib = 8192"),
    key("cell.cpu_millicores", NONE, Kind::Count { least: 10, most: 1_000_000 }, InProject::Lower,
        "Thousandths of a core; only where control groups may be written, which `recto doctor` tells. None: all cores.",
        "cell.cpu_millicores = 1500"),
    key("cell.processes", NONE, Kind::Count { least: 8, most: 4_000_000 }, InProject::Lower,
        "Processes and threads.",
        "cell.processes = 512"),
    key("cell.open_files", NONE, Kind::Count { least: 64, most: 1 << 30 }, InProject::Lower,
        "Open files of one process.",
        "cell.open_files = 4096"),
    key("cell.disk_mib", NONE, Kind::Count { least: 1, most: MEBIBYTES }, InProject::Lower,
        "What may be written to disk, in MiB, deleted files included.",
        "cell.disk_mib = 20480"),
    key("cell.files", NONE, POSITIVE, InProject::Lower,
        "Files and directories that may be made.",
        "cell.files = 500000"),
    key("cell.output_mib", NONE, Kind::Count { least: 1, most: MEBIBYTES }, InProject::Lower,
        "What one command may print, in MiB; most of it is not kept.",
        "cell.output_mib = 1024"),
    key("cell.seconds", NONE, TIMEOUT, InProject::Lower,
        "How long the cell may live. None: as long as the session.",
        "cell.seconds = 7200"),

    // --- When to stop, and when work is done ---
    key("budget.steps", NONE, SMALL, InProject::Lower,
        "Most model responses in one turn. None: no limit.",
        "budget.steps = 200"),
    key("budget.cost", NONE, Kind::Dollars, InProject::Lower,
        "Most money in one session, in dollars. None: no limit.",
        "budget.cost = 2.5"),
    key("budget.tokens", NONE, POSITIVE, InProject::Lower,
        "Most tokens, input and output together, in one session. None: no limit.",
        "budget.tokens = 2000000"),
    key("budget.seconds", &[Alias { name: "minutes", scale: Scale::Minutes }], POSITIVE, InProject::Lower,
        "Most wall time in one turn. None: no limit.",
        "budget.seconds = 3600"),
    key("checks", NONE, Kind::List(ListOf::Commands), InProject::Add,
        "Commands that must pass before work counts as done.",
        r#"checks = ["cargo test"]"#),
    key("instruction_names", &[same("project_doc_fallback_filenames")], Kind::List(ListOf::FileNames), InProject::Set,
        "Files that are read as instructions where there is no AGENTS.md.",
        r#"instruction_names = ["CLAUDE.md"]"#),
    key("tools.command_timeout_secs", NONE, TIMEOUT, InProject::Lower,
        "Seconds after which a command is killed.",
        "tools.command_timeout_secs = 600"),
    key("tools.check_timeout_secs", NONE, TIMEOUT, InProject::Lower,
        "Seconds after which a check is killed.",
        "tools.check_timeout_secs = 600"),

    // --- Profiles and projects ---
    key("profile", NONE, Kind::Text, YOURS,
        "The profile of `[profiles]` to use.",
        r#"profile = "careful""#),
    key("profiles.*", NONE, Kind::Profile, YOURS,
        "A set of values that `profile` or `-p` selects: any key but `profile`, `profiles` and `projects`.",
        r#"profiles.careful = { sandbox_mode = "read-only" }"#),
    key("projects.*.trust_level", NONE, Kind::Choice(&[("untrusted", &[]), ("trusted", &[])]), YOURS,
        "Whether the file `.recto/config.toml` of the repository with this absolute path is read.",
        r#"projects."/home/me/code".trust_level = "trusted""#),

    // --- Providers ---
    key("providers.*.name", NONE, Kind::Text, ELSEWHERE,
        "The name shown to you. None: its key.",
        r#"providers.gateway.name = "Our gateway""#),
    key("providers.*.base_url", NONE, Kind::Url, ELSEWHERE,
        "Where requests go; `/responses` is added to it.",
        r#"providers.gateway.base_url = "https://llm.example.com/v1""#),
    key("providers.*.env_key", NONE, Kind::Variable, ELSEWHERE,
        "The variable that holds the key. None: no key is sent.",
        r#"providers.gateway.env_key = "GATEWAY_KEY""#),
    key("providers.*.key_header", NONE, Kind::HeaderName, ELSEWHERE,
        "The header that carries the key as it is. None: `Authorization: Bearer`.",
        r#"providers.gateway.key_header = "api-key""#),
    secret(key("providers.*.http_headers.*", NONE, Kind::Header, ELSEWHERE,
        "A further header with a fixed value.",
        r#"providers.gateway.http_headers.X-Team = "tools""#)),
    key("providers.*.env_http_headers.*", NONE, Kind::Variable, ELSEWHERE,
        "A further header whose value is in this variable.",
        r#"providers.gateway.env_http_headers.X-Token = "TEAM_TOKEN""#),
    secret(key("providers.*.query_params.*", NONE, Kind::Header, ELSEWHERE,
        "A query parameter added to every request.",
        r#"providers.gateway.query_params.api-version = "preview""#)),
    key("providers.*.stream_idle_timeout_secs",
        &[Alias { name: "stream_idle_timeout_ms", scale: Scale::Milliseconds }], TIMEOUT, ELSEWHERE,
        "Seconds without a byte after which a stream counts as cut.",
        "providers.gateway.stream_idle_timeout_secs = 300"),
    key("providers.*.max_retries",
        &[Alias { name: "request_max_retries", scale: Scale::Largest },
          Alias { name: "stream_max_retries", scale: Scale::Largest }],
        Kind::Count { least: 0, most: 100 }, ELSEWHERE,
        "Tries after the first for a request that met a transient failure.",
        "providers.gateway.max_retries = 4"),
    key("providers.*.default_model", NONE, Kind::Text, ELSEWHERE,
        "The model used when none is named.",
        r#"providers.gateway.default_model = "gpt-5.1""#),
    key("providers.*.wire_api", NONE, Kind::Wire, ELSEWHERE,
        "Accepted for existing files: the Responses API is the only one so far.",
        r#"providers.gateway.wire_api = "responses""#),

    // --- Models ---
    key("models.*.context_window", NONE, POSITIVE, YOURS,
        "Tokens that fit into one request and its answer.",
        r#"models."my-model".context_window = 128000"#),
    key("models.*.auto_compact_limit", NONE, POSITIVE, YOURS,
        "Tokens at which the conversation is compacted. None: nine tenths of the window.",
        r#"models."my-model".auto_compact_limit = 100000"#),
    key("models.*.max_output_tokens", NONE, POSITIVE, YOURS,
        "Most tokens per response to ask for. None: the provider's default.",
        r#"models."my-model".max_output_tokens = 16000"#),
    key("models.*.apply_patch", NONE, Kind::Choice(&[("freeform", &[]), ("function", &[])]), YOURS,
        "How patches are offered: a tool with a grammar, or a function.",
        r#"models."my-model".apply_patch = "function""#),
    key("models.*.images", NONE, Kind::Bool, YOURS,
        "Whether images may be sent.",
        r#"models."my-model".images = false"#),
    key("models.*.reasoning", NONE, Kind::Bool, YOURS,
        "Whether the model reasons and takes a `reasoning` field.",
        r#"models."my-model".reasoning = true"#),
    key("models.*.compaction", NONE, Kind::Choice(&[("summary", &[]), ("provider", &[])]), YOURS,
        "How the conversation is compacted: by a summary, or by the provider.",
        r#"models."my-model".compaction = "summary""#),
    key("models.*.prices.input", NONE, Kind::Price, YOURS,
        "Dollars per million uncached input tokens. Needs `output` beside it.",
        r#"models."my-model".prices = { input = 1.25, output = 10 }"#),
    key("models.*.prices.cached_input", NONE, Kind::Price, YOURS,
        "Dollars per million cached input tokens. None: the price of uncached ones.",
        r#"models."my-model".prices = { input = 1.25, cached_input = 0.125, output = 10 }"#),
    key("models.*.prices.output", NONE, Kind::Price, YOURS,
        "Dollars per million output tokens. Needs `input` beside it.",
        r#"models."my-model".prices = { input = 1.25, output = 10 }"#),
];
