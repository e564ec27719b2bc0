//! The description of the API, for clients that are generated from it: OpenAPI 3.1, whose schemas are those of the types.
//!
//! The rule: a type says what it is once, where it stands; this only says which request has which.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value as Json, json};

use super::{Back, Changed, Job, Refused, Swap};

/// `docs/reference/control.openapi.json`, and what `/v1/openapi.json` answers.
pub fn document() -> Json {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = settings.into_generator();
    let job = schema::<Job>(&mut schemas);
    let changed = schema::<Changed>(&mut schemas);
    let refused = schema::<Refused>(&mut schemas);
    let swap = parameters::<Swap>(&mut schemas);
    let back = parameters::<Back>(&mut schemas);
    let answer = |description: &str, schema: &Json| json!({ "description": description, "content": { "application/json": { "schema": schema } } });
    let changes = |description: &str| {
        json!({
            "200": answer(description, &changed),
            "400": answer("the request is not understood", &refused),
            "401": answer("on a port: the token was not given", &refused),
            "409": answer("it cannot be done now: ask again", &refused),
            "413": answer("the component is too large", &refused),
            "422": answer("it is refused, and why", &refused),
            "500": answer("it has failed", &refused),
        })
    };
    let asks = |good: Json| json!({ "200": good, "401": answer("on a port: the token was not given", &refused) });
    let step = json!({ "name": "step", "in": "path", "required": true, "schema": { "type": "string" } });
    let swap: Vec<Json> = [step].into_iter().chain(swap).collect();
    let component = json!({ "required": true, "content": { "application/wasm": { "schema": { "type": "string", "format": "binary" } } } });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Pelton", "version": "v1", "description": "What a running job does, and changes to it." },
        "paths": {
            "/v1/job": { "get": { "summary": "What runs", "responses": asks(answer("what runs", &job)) } },
            "/v1/graph": { "get": {
                "summary": "The job as it was checked, in canonical form",
                "responses": asks(answer("the job", &json!({ "type": "object" }))),
            } },
            "/v1/events": { "get": {
                "summary": "What runs, whenever that changes: server-sent events `job`",
                "responses": asks(json!({ "description": "events", "content": { "text/event-stream": { "schema": job } } })),
            } },
            "/v1/steps/{step}/plugin": { "post": {
                "summary": "Swaps a plugin in, or checks whether that could be done",
                "parameters": swap,
                "requestBody": component,
                "responses": changes("it is deployed, or fits"),
            } },
            "/v1/rollback": { "post": {
                "summary": "Goes back to what ran before the last swap",
                "parameters": back,
                "responses": changes("what ran before is deployed again"),
            } },
        },
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "on a port; the socket needs none" } },
        },
        "security": [{}, { "token": [] }],
    })
}

fn schema<T: JsonSchema>(schemas: &mut schemars::SchemaGenerator) -> Json {
    schemas.subschema_for::<T>().to_value()
}

/// The fields of a type as parameters of a query.
fn parameters<T: JsonSchema>(schemas: &mut schemars::SchemaGenerator) -> Vec<Json> {
    let whole = T::json_schema(schemas).to_value();
    let fields = whole["properties"].as_object().cloned().unwrap_or_default();
    fields.into_iter().map(|(name, schema)| json!({ "name": name, "in": "query", "schema": schema })).collect()
}
