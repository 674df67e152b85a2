//! The tools as the model sees them: names, shapes, and a sentence each.
//!
//! Names and argument shapes are those that models know from their training. The texts are fixed
//! and their order too, since they stand in the cached prefix of every request.

use recto_protocol::profile::{PatchTool, Profile};
use recto_protocol::settings::Mode;
use serde_json::{Value, json};

/// `exec_command`.
pub const EXEC_COMMAND: &str = "exec_command";
/// `write_stdin`.
pub const WRITE_STDIN: &str = "write_stdin";
/// `read_chunk`.
pub const READ_CHUNK: &str = "read_chunk";
/// `apply_patch`.
pub const APPLY_PATCH: &str = "apply_patch";
/// `update_plan`.
pub const UPDATE_PLAN: &str = "update_plan";
/// `view_image`.
pub const VIEW_IMAGE: &str = "view_image";

/// Whether and where the provider may search the web for the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebSearch {
    /// Nowhere.
    #[default]
    Off,
    /// In what the provider has stored.
    Cached,
    /// In the web as it is now.
    Live,
}

/// The tools offered to a model, as the JSON text of an array.
pub fn offered(mode: Mode, profile: &Profile, web_search: WebSearch) -> String {
    let mut tools = vec![exec_command(), write_stdin(), read_chunk()];
    if mode == Mode::Code {
        tools.push(match profile.apply_patch {
            PatchTool::Freeform => apply_patch_freeform(),
            PatchTool::Function => apply_patch_function(),
        });
    }
    tools.push(update_plan());
    if profile.images {
        tools.push(view_image());
    }
    match web_search {
        WebSearch::Off => {}
        WebSearch::Cached => tools.push(provider_search(false)),
        WebSearch::Live => tools.push(provider_search(true)),
    }
    Value::Array(tools).to_string()
}

/// The provider runs this one itself.
fn provider_search(live: bool) -> Value {
    json!({"type": "web_search", "external_web_access": live})
}

fn function(name: &str, description: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "type": "function",
        "name": name,
        "description": description,
        "strict": false,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        },
    })
}

fn exec_command() -> Value {
    function(
        EXEC_COMMAND,
        "Runs a shell command in the cell and returns its chunk id, exit code and output. If it is \
         still running after yield_time_ms, returns the output so far and a session_id for \
         write_stdin.",
        &["cmd"],
        json!({
            "cmd": {"type": "string", "description": "The command line."},
            "workdir": {"type": "string", "description": "Working directory; default: the session's."},
            "shell": {"type": "string", "description": "Shell to use; default: bash."},
            "login": {"type": "boolean", "description": "Whether to read login files; default false."},
            "tty": {"type": "boolean", "description": "Whether to give it a terminal; default false."},
            "yield_time_ms": {"type": "number", "description": "How long to wait before returning; default 10000, at most 30000."},
            "max_output_tokens": {"type": "number", "description": "Most tokens of output to return; default 10000."},
        }),
    )
}

fn write_stdin() -> Value {
    function(
        WRITE_STDIN,
        "Writes to a running command (\\u0003 interrupts it) and returns its new output. With \
         empty chars it only waits.",
        &["session_id"],
        json!({
            "session_id": {"type": "number", "description": "From exec_command."},
            "chars": {"type": "string", "description": "Bytes to write; default none."},
            "yield_time_ms": {"type": "number", "description": "How long to wait for output; default 250, at most 30000."},
            "max_output_tokens": {"type": "number", "description": "Most tokens of output to return; default 10000."},
        }),
    )
}

fn read_chunk() -> Value {
    function(
        READ_CHUNK,
        "Reads lines of an earlier command's whole output by its chunk id.",
        &["chunk_id"],
        json!({
            "chunk_id": {"type": "string", "description": "Six hexadecimal digits."},
            "first_line": {"type": "number", "description": "Counted from 1; default 1."},
            "line_count": {"type": "number", "description": "Default 200."},
        }),
    )
}

const PATCH_DESCRIPTION: &str = "Adds, updates, moves and deletes files; all of the patch is applied or nothing. Paths are relative to the repository's root directory or absolute inside it.";

fn apply_patch_freeform() -> Value {
    json!({
        "type": "custom",
        "name": APPLY_PATCH,
        "description": format!("{PATCH_DESCRIPTION} The input is the patch itself, not JSON."),
        "format": {"type": "grammar", "syntax": "lark", "definition": recto_patch::LARK_GRAMMAR},
    })
}

fn apply_patch_function() -> Value {
    let example = "*** Begin Patch\n*** Update File: src/a.py\n@@ def greet():\n-    return \"hi\"\n+    return \"hello\"\n*** Add File: b.txt\n+new line\n*** Delete File: old.txt\n*** End Patch";
    function(
        APPLY_PATCH,
        &format!(
            "{PATCH_DESCRIPTION} Lines of an update start with a space (context), - or +; @@ may \
             name a line to look below; '*** Move to: path' after an update's header renames. \
             Example:\n{example}"
        ),
        &["input"],
        json!({"input": {"type": "string", "description": "The patch."}}),
    )
}

fn update_plan() -> Value {
    function(
        UPDATE_PLAN,
        "Replaces the plan that the user sees. At most one step is in progress.",
        &["plan"],
        json!({
            "explanation": {"type": "string"},
            "plan": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "step": {"type": "string"},
                        "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]},
                    },
                    "required": ["step", "status"],
                    "additionalProperties": false,
                },
            },
        }),
    )
}

fn view_image() -> Value {
    function(
        VIEW_IMAGE,
        "Shows you an image file of the work tree (PNG, JPEG, GIF, WebP).",
        &["path"],
        json!({"path": {"type": "string"}}),
    )
}
