//! The OpenAPI document, made of the table of routes and the schemas of what they speak.

use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::BASE;
use crate::problem::Problem;
use crate::route::{Answer, Operation, operations};

/// The OpenAPI 3.1 document of the whole API.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths = Map::new();
    for operation in operations() {
        let path = format!("{BASE}{}", operation.path);
        let method = operation.method.name().to_lowercase();
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = describe(&operation, &mut generator);
    }
    // Named, so that it is there even if no route fails.
    let _ = generator.subschema_for::<Problem>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Recto",
            "description": "Hand in coding tasks, watch them live, steer them, and fetch what came of them.",
            "version": "1",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token made by `recto token create` or `POST /tokens`.",
                },
            },
        },
    })
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": responses(operation, generator),
    });
    let parameters = parameters(operation, generator);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": body(generator) } },
        });
    }
    described["security"] = match operation.needs {
        Some(scope) => {
            let text = format!("{}. Needs the scope `{}`.", operation.summary, scope.word());
            described["description"] = text.into();
            json!([{ "token": [] }])
        }
        None => json!([]),
    };
    described
}

fn parameters(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string" },
        }))
    });
    let mut parameters: Vec<Value> = in_path.collect();
    if let Some(query) = operation.query {
        parameters.extend(in_query(&query(generator)));
    }
    for (name, description) in &operation.headers {
        parameters.push(json!({
            "name": name, "in": "header", "description": description,
            "schema": { "type": "string" },
        }));
    }
    parameters
}

/// The fields of a query's type, each as a parameter.
fn in_query(schema: &Schema) -> Vec<Value> {
    let fields = schema.get("properties").and_then(Value::as_object);
    let fields = fields.into_iter().flatten();
    fields
        .map(|(name, field)| {
            let mut field = field.clone();
            let description = field.as_object_mut().and_then(|f| f.remove("description"));
            json!({
                "name": name, "in": "query", "schema": field,
                "description": description.unwrap_or_default(),
            })
        })
        .collect()
}

fn responses(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for answer in &operation.answers {
        responses.insert(answer.status.to_string(), response(answer, generator));
    }
    let mut problems: BTreeSet<u16> = operation.problems.iter().copied().collect();
    // A foreign host or page, a panic, a store that can't be used.
    problems.extend([403, 500, 503]);
    if operation.needs.is_some() {
        problems.extend([401, 429]);
    }
    if operation.path.contains('{') {
        // A path that is not UTF-8, and one that leads nowhere.
        problems.extend([400, 404]);
    }
    let problem = generator.subschema_for::<Problem>();
    for status in problems {
        let content = json!({ "application/problem+json": { "schema": problem } });
        let response = json!({ "description": meaning(status), "content": content });
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

fn response(answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    let mut response = json!({ "description": answer.description });
    if let Some((media, schema)) = answer.content {
        let schema = match schema {
            Some(schema) => schema(generator).to_value(),
            None if media.starts_with("text/") => json!({ "type": "string" }),
            None => json!({}),
        };
        response["content"] = json!({ media: { "schema": schema } });
    }
    response
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request is malformed.",
        401 => "There is no valid token.",
        403 => "The token lacks the scope, or the request came by a foreign name or page.",
        404 => "There is no such thing.",
        408 => "The body did not come in time.",
        409 => "It can't be done in the state that things are in.",
        413 => "The body is too large.",
        415 => "The body is not application/json.",
        422 => "A value can't be used.",
        429 => "These are too many requests.",
        503 => "It can't be done now.",
        _ => "Something went wrong in the server.",
    }
}
