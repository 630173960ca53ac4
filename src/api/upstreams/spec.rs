//! An upstream's document as clients see it: with all its fields where it is sent, as it was given where it is read.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::{Map, Value, json};

use crate::models::document::schema::{self, SPEC};

/// Puts the fields of a document, which its own schema knows, into the OpenAPI document.
pub(in crate::api) fn describe(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else {
        return;
    };
    if !schemas.contains_key(SPEC) {
        return;
    }
    schemas.extend(schema::components());
    schemas[SPEC]["example"] = json!({
        "url": "https://api.example.com/v1",
        "owner": "team-pricing",
        "timeout": { "total": "2s", "attempt": "800ms" },
        "retry": { "attempts": 3 },
        "access": { "allow": ["any_authenticated"] },
        "fallback": [{ "stale": { "maxAge": "24h" } }],
    });
}

/// A mapping whose fields are left as they are.
macro_rules! mapping {
    ($(#[$words:meta])* $mapping:ident, $name:expr, $description:literal) => {
        $(#[$words])*
        #[derive(Debug)]
        pub(super) struct $mapping(Map<String, Value>);

        impl Type for $mapping {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Reference(Self::name().into_owned())
            }

            fn register(registry: &mut Registry) {
                registry.create_schema::<Self, _>(Self::name().into_owned(), |_| MetaSchema {
                    description: Some($description),
                    additional_properties: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY)))),
                    ..MetaSchema::new("object")
                });
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl ParseFromJSON for $mapping {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                match value {
                    Some(Value::Object(fields)) => Ok(Self(fields)),
                    other => Err(ParseError::expected_type(other.unwrap_or_default())),
                }
            }
        }

        impl ToJSON for $mapping {
            fn to_json(&self) -> Option<Value> {
                Some(Value::Object(self.0.clone()))
            }
        }

        impl From<$mapping> for Value {
            fn from(mapping: $mapping) -> Self {
                Self::Object(mapping.0)
            }
        }
    };
}

mapping!(
    /// A document that is sent. Its readers judge it, not its schema: they know more, and say the same as for files.
    UpstreamSpec,
    SPEC,
    "The fields of a document; `describe` puts them here."
);

mapping!(
    /// A document that is shown.
    UpstreamDocument,
    "UpstreamDocument",
    "The `spec` of an upstream's document, as it was given: the fields of `UpstreamSpec`. One that a newer version of Levee has \
     stored may have others."
);

impl From<Value> for UpstreamDocument {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(fields) => Self(fields),
            _ => Self(Map::new()),
        }
    }
}
