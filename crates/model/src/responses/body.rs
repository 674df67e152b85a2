//! The request body, put together as text so that it grows only at its end.
//!
//! Everything that a session never changes stands first, then `input`, then what may differ from
//! turn to turn. Two requests of one session thus share all bytes up to the end of the shorter
//! `input`, which is what a provider's prefix cache needs.

use recto_protocol::ports::model::Request;

/// The JSON text of a request.
///
/// `include` asks for encrypted reasoning exactly when `reasoning` is set: a session that reasons
/// needs it back (nothing is stored at the provider), and models that do not reason refuse it.
pub(crate) fn assemble(request: &Request) -> String {
    let room = request.input.len() + request.instructions.len() + request.tools.len() + 512;
    let mut body = String::with_capacity(room + request.instructions.len() / 8);
    body.push('{');
    field(&mut body, "model", &quoted(&request.model));
    field(&mut body, "instructions", &quoted(&request.instructions));
    // Some servers refuse `tool_choice` beside an empty list.
    if !matches!(request.tools.trim(), "" | "[]") {
        field(&mut body, "tools", &request.tools);
        field(&mut body, "tool_choice", "\"auto\"");
        field(&mut body, "parallel_tool_calls", "true");
    }
    field(&mut body, "store", "false");
    field(&mut body, "stream", "true");
    if request.reasoning.is_some() {
        field(&mut body, "include", "[\"reasoning.encrypted_content\"]");
    }
    field(&mut body, "prompt_cache_key", &quoted(&request.cache_key));
    body.push_str("\"input\":[");
    body.push_str(&request.input);
    body.push(']');
    tail(&mut body, "reasoning", request.reasoning.as_deref());
    tail(&mut body, "text", request.text.as_deref());
    let limit = request.max_output_tokens.map(|tokens| tokens.to_string());
    tail(&mut body, "max_output_tokens", limit.as_deref());
    body.push('}');
    body
}

fn field(body: &mut String, name: &str, value: &str) {
    for part in ["\"", name, "\":", value, ","] {
        body.push_str(part);
    }
}

fn tail(body: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        for part in [",\"", name, "\":", value] {
            body.push_str(part);
        }
    }
}

fn quoted(text: &str) -> String {
    // A text always has a JSON form.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(input: &str) -> Request {
        Request {
            model: "gpt-5".into(),
            instructions: "say \"hi\"\n".into(),
            tools: r#"[{"type":"function","name":"f"}]"#.into(),
            input: input.into(),
            reasoning: Some(r#"{"effort":"low"}"#.into()),
            text: None,
            max_output_tokens: None,
            cache_key: "s1".into(),
        }
    }

    #[test]
    fn fields_stand_in_the_order_that_caches_need() {
        let mut request = request(r#"{"type":"message"}"#);
        request.text = Some(r#"{"verbosity":"low"}"#.into());
        request.max_output_tokens = Some(9);
        insta::assert_snapshot!(assemble(&request), @r#"{"model":"gpt-5","instructions":"say \"hi\"\n","tools":[{"type":"function","name":"f"}],"tool_choice":"auto","parallel_tool_calls":true,"store":false,"stream":true,"include":["reasoning.encrypted_content"],"prompt_cache_key":"s1","input":[{"type":"message"}],"reasoning":{"effort":"low"},"text":{"verbosity":"low"},"max_output_tokens":9}"#);
    }

    #[test]
    fn without_tools_and_reasoning_their_fields_are_left_out() {
        let mut request = request("");
        request.tools = "[]".into();
        request.reasoning = None;
        insta::assert_snapshot!(assemble(&request), @r#"{"model":"gpt-5","instructions":"say \"hi\"\n","store":false,"stream":true,"prompt_cache_key":"s1","input":[]}"#);
    }

    #[test]
    fn a_longer_input_only_adds_bytes_after_the_shorter_one() {
        let first = assemble(&request(r#"{"type":"message","n":1}"#));
        let second = assemble(&request(
            r#"{"type":"message","n":1},{"type":"message","n":2}"#,
        ));
        let end_of_input = first.rfind("],\"reasoning\"").unwrap();
        assert!(second.starts_with(&first[..end_of_input]));
    }
}
