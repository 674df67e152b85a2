//! `update_plan`.

use recto_protocol::tool::{Effect, Plan};

use super::ToolResult;

pub(super) fn run(plan: Plan) -> ToolResult {
    ToolResult::ok("Plan updated", Effect::Plan { plan })
}
