//! One test per shaping rule.

use super::*;

/// A document with one operation that takes and answers `Thing`.
fn document(thing: &Value) -> Value {
    let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } });
    let ok = json!({ "description": "", "content": content });
    json!({
        "openapi": "3.0.0",
        "paths": { "/things": { "get": { "responses": { "200": ok } } } },
        "components": { "schemas": { "Thing": thing } },
    })
}

fn shaped_thing(thing: &Value) -> Value {
    shape(document(thing))["components"]["schemas"]["Thing"].take()
}

fn shaped_field(field: &Value) -> Value {
    shaped_thing(&json!({ "type": "object", "properties": { "field": field } }))["properties"]["field"].take()
}

#[test]
fn it_says_3_0_3() {
    assert_eq!(shape(document(&json!({})))["openapi"], "3.0.3");
}

#[test]
fn a_described_reference_becomes_a_bare_one() {
    let mut raw = document(&json!({ "type": "object", "properties": { "mode": {
        "allOf": [{ "$ref": "#/components/schemas/Mode" }, { "description": "Who decides." }],
        "description": "Who decides.",
    } } }));
    raw["components"]["schemas"]["Mode"] = json!({ "type": "string" });
    let field = shape(raw)["components"]["schemas"]["Thing"]["properties"]["mode"].take();
    assert_eq!(field, json!({ "$ref": "#/components/schemas/Mode" }));
}

#[test]
fn a_reference_with_more_than_a_description_is_left_alone() {
    let field =
        json!({ "allOf": [{ "$ref": "#/components/schemas/Thing" }, { "default": "a" }], "default": "a" });
    assert_eq!(shaped_field(&field), field);
}

#[test]
fn widths_that_openapi_does_not_know_become_bounds() {
    for (format, wanted) in [
        ("int8", json!({ "type": "integer", "format": "int32", "minimum": -128, "maximum": 127 })),
        ("int16", json!({ "type": "integer", "format": "int32", "minimum": -32768, "maximum": 32767 })),
        ("uint8", json!({ "type": "integer", "format": "int32", "minimum": 0, "maximum": 255 })),
        ("uint16", json!({ "type": "integer", "format": "int32", "minimum": 0, "maximum": 65535 })),
        (
            "uint32",
            json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": 4_294_967_295_u32 }),
        ),
        ("uint64", json!({ "type": "integer", "format": "int64", "minimum": 0 })),
        ("int32", json!({ "type": "integer", "format": "int32" })),
    ] {
        assert_eq!(shaped_field(&json!({ "type": "integer", "format": format })), wanted);
    }
}

#[test]
fn a_bound_that_was_given_beats_that_of_the_width_and_is_whole() {
    let field = json!({ "type": "integer", "format": "uint32", "minimum": 1.0, "maximum": 200.0 });
    let wanted = json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 200 });
    assert_eq!(shaped_field(&field).to_string(), wanted.to_string());
}

#[test]
fn a_bound_with_a_fraction_stays() {
    let field = json!({ "type": "number", "format": "double", "maximum": 0.5 });
    assert_eq!(shaped_field(&field), field);
}

#[test]
fn a_url_is_a_uri_but_a_property_called_format_is_nobodys_business() {
    assert_eq!(shaped_field(&json!({ "type": "string", "format": "url" }))["format"], "uri");
    let properties = json!({ "type": { "type": "string" }, "format": { "type": "string" } });
    assert_eq!(
        shaped_thing(&json!({ "type": "object", "properties": properties }))["properties"],
        properties
    );
}

#[test]
fn what_a_request_reaches_is_closed_and_what_only_an_answer_reaches_stays_open() {
    let object = |inner: &str| {
        let inner = json!({ "$ref": format!("#/components/schemas/{inner}") });
        json!({ "type": "object", "properties": { "inner": inner } })
    };
    let body = json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/NewThing" } } } });
    let mut raw = document(&json!({ "type": "object", "properties": {} }));
    raw["paths"]["/things"]["post"] = json!({ "requestBody": body, "responses": {} });
    raw["components"]["schemas"]["NewThing"] = object("Part");
    raw["components"]["schemas"]["Part"] = object("NewThing");
    let schemas = shape(raw)["components"]["schemas"].take();
    assert_eq!(schemas["NewThing"]["additionalProperties"], false);
    assert_eq!(schemas["Part"]["additionalProperties"], false);
    assert_eq!(schemas["Thing"].get("additionalProperties"), None);
}

#[test]
fn an_operation_without_credentials_says_so_and_another_keeps_its_own() {
    let mut raw = document(&json!({}));
    raw["paths"]["/things"]["put"] = json!({ "responses": {}, "security": [{ "bearer": [] }] });
    let item = shape(raw)["paths"]["/things"].take();
    assert_eq!(item["get"]["security"], json!([]));
    assert_eq!(item["put"]["security"], json!([{ "bearer": [] }]));
}

#[test]
fn refusals_are_named_where_they_can_happen_and_none_is_called_default() {
    let failure = json!({ "description": "A failure." });
    let responses = json!({ "default": failure });
    let parameter = |place: &str| json!([{ "name": "x", "in": place }]);
    let mut raw = document(&json!({}));
    raw["paths"]["/things"]["get"] = json!({ "responses": responses });
    raw["paths"]["/things"]["put"] = json!({ "responses": responses, "parameters": parameter("query") });
    raw["paths"]["/things"]["post"] = json!({ "responses": responses, "parameters": parameter("path") });
    let shaped = shape(raw);
    let statuses = |method: &str| -> Vec<String> {
        shaped["paths"]["/things"][method]["responses"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(statuses("get"), ["4XX", "5XX"]);
    assert_eq!(statuses("put"), ["400", "4XX", "5XX"]);
    assert_eq!(statuses("post"), ["400", "404", "4XX", "5XX"]);
}

#[test]
fn a_repeated_header_is_written_once_and_one_that_differs_stays() {
    let header = |text: &str| json!({ "description": text, "schema": { "type": "string" } });
    let mut raw = document(&json!({}));
    raw["paths"]["/things"]["get"]["responses"] = json!({
        "200": { "headers": { "X-REQUEST-ID": header("one") } },
        "201": { "headers": { "X-REQUEST-ID": header("one") } },
        "202": { "headers": { "X-REQUEST-ID": header("other") } },
    });
    let shaped = shape(raw);
    let responses = &shaped["paths"]["/things"]["get"]["responses"];
    let reference = json!({ "$ref": "#/components/headers/X-Request-Id" });
    assert_eq!(responses["200"]["headers"]["X-Request-Id"], reference);
    assert_eq!(responses["201"]["headers"]["X-Request-Id"], reference);
    assert_eq!(responses["202"]["headers"]["X-Request-Id"], header("other"));
    assert_eq!(shaped["components"]["headers"], json!({ "X-Request-Id": header("one") }));
}

#[test]
fn components_nothing_refers_to_are_dropped_with_what_only_they_refer_to() {
    let mut raw = document(&json!({}));
    raw["components"]["schemas"]["Unused"] = json!({ "items": { "$ref": "#/components/schemas/Deeper" } });
    raw["components"]["schemas"]["Deeper"] = json!({});
    raw["components"]["securitySchemes"] = json!({ "bearer": {} });
    let components = shape(raw)["components"].take();
    assert_eq!(components, json!({ "schemas": { "Thing": {} }, "securitySchemes": { "bearer": {} } }));
}

#[test]
fn the_order_does_not_depend_on_the_order_of_declaration() {
    let mut raw = document(&json!({ "items": { "$ref": "#/components/schemas/Another" } }));
    raw["components"]["schemas"]["Another"] = json!({});
    raw["paths"]["/a"] = json!({ "delete": {}, "get": {} });
    let shaped = shape(raw);
    let keys = |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(keys(&shaped["paths"]), ["/a", "/things"]);
    assert_eq!(keys(&shaped["paths"]["/a"]), ["get", "delete"]);
    assert_eq!(keys(&shaped["components"]["schemas"]), ["Another", "Thing"]);
}

#[test]
fn a_guards_role_becomes_an_extension_and_its_scheme_one_with_the_others() {
    let mut raw = document(&json!({ "type": "object" }));
    raw["paths"]["/things"]["get"]["security"] = json!([{ "levee:admin": [] }]);
    raw["components"]["securitySchemes"] =
        json!({ "levee:admin": { "type": "http" }, "levee:any": { "type": "http" } });
    let shaped = shape(raw);
    let operation = &shaped["paths"]["/things"]["get"];
    assert_eq!(operation["x-levee-role"], json!("admin"));
    assert_eq!(operation["security"], json!([{ "levee": [] }]));
    assert_eq!(shaped["components"]["securitySchemes"], json!({ "levee": { "type": "http" } }));
}
