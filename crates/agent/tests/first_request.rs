//! How large the first request of a fresh session is, as the Responses body would hold it.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use recto_agent::{context, prompts, tools};
use recto_protocol::Item;
use recto_protocol::policy::Policy;
use recto_protocol::profile::{PatchTool, Profile};
use recto_protocol::settings::Mode;
use serde_json::json;

/// The budget of the design.
const MOST: usize = 12 << 10;

fn size(mode: Mode, apply_patch: PatchTool) -> usize {
    let profile = Profile {
        apply_patch,
        ..Profile::default()
    };
    let environment = context::environment(&context::Environment {
        cwd: "/home/somebody/projects/a-repository",
        repository: Some("/home/somebody/projects/a-repository"),
        date: "2026-11-20",
        policy: &Policy::default(),
        checks: &[],
    });
    let tools: serde_json::Value =
        serde_json::from_str(&tools::offered(mode, &profile, tools::WebSearch::Off)).unwrap();
    let input: Vec<serde_json::Value> = [environment, Item::message("user", "hi")]
        .iter()
        .map(|item| serde_json::from_str(item.raw()).unwrap())
        .collect();
    let body = json!({
        "model": "gpt-5.5",
        "instructions": prompts::instructions(mode),
        "input": input,
        "tools": tools,
        "tool_choice": "auto",
        "parallel_tool_calls": true,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": false,
        "stream": true,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "01a1f7c6-fad4-7af1-8e30-be86e250c14f",
    });
    body.to_string().len()
}

#[test]
fn the_first_request_is_small() {
    for mode in [Mode::Code, Mode::Ask] {
        for patch in [PatchTool::Freeform, PatchTool::Function] {
            let size = size(mode, patch);
            println!("{mode:?} {patch:?}: {size} bytes");
            assert!(size <= MOST, "{mode:?} {patch:?}: {size} bytes");
        }
    }
}

#[test]
fn every_tool_has_a_name_a_description_and_a_closed_schema() {
    for patch in [PatchTool::Freeform, PatchTool::Function] {
        let profile = Profile {
            apply_patch: patch,
            ..Profile::default()
        };
        let offered: Vec<serde_json::Value> =
            serde_json::from_str(&tools::offered(Mode::Code, &profile, tools::WebSearch::Off))
                .unwrap();
        for tool in offered {
            assert!(
                tool["name"].is_string() && tool["description"].is_string(),
                "{tool}"
            );
            if tool["type"] == "function" {
                let parameters = &tool["parameters"];
                assert_eq!(parameters["additionalProperties"], false);
                for required in parameters["required"].as_array().unwrap() {
                    assert!(parameters["properties"][required.as_str().unwrap()].is_object());
                }
            }
        }
    }
}
