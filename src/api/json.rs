//! Reads JSON strictly: what every ordinary parser would read, but for objects with a key twice (of which it would drop
//! one in silence), for nesting that only an attacker writes, and for the character NUL, which PostgreSQL cannot keep.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::Fault;

/// Most arrays and objects inside each other.
pub(super) const DEEPEST: usize = 32;

/// Longest key that a fault repeats, in bytes.
const LONGEST_KEY_SHOWN: usize = 128;

/// The value of `text`, or the first place that keeps it from being one. A fault repeats keys, never values.
pub(super) fn parse(text: &[u8]) -> Result<Value, Fault> {
    let fault = RefCell::new(None);
    let strict = Strict { at: &Place::Root, depth: 0, fault: &fault };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = strict.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| {
        let syntax = || Fault { pointer: String::new(), detail: format!("is not JSON: {error}") };
        fault.take().unwrap_or_else(syntax)
    })
}

/// One more piece of a JSON Pointer (RFC 6901 section 3).
pub(super) fn push(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

/// A key short enough to be repeated to whoever sent it.
pub(super) fn is_shown(key: &str) -> bool {
    key.len() <= LONGEST_KEY_SHOWN
}

/// Where the reading is, as a path of borrowed pieces: nothing is allocated unless something is wrong.
enum Place<'a> {
    Root,
    Key(&'a Self, &'a str),
    Index(&'a Self, usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(outer, key) => {
                let mut pointer = outer.pointer();
                if is_shown(key) {
                    push(&mut pointer, key);
                }
                pointer
            }
            Self::Index(outer, index) => format!("{}/{index}", outer.pointer()),
        }
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    at: &'a Place<'a>,
    depth: usize,
    fault: &'a RefCell<Option<Fault>>,
}

impl Strict<'_> {
    fn inside<'b>(&'b self, at: &'b Place<'b>) -> Strict<'b> {
        Strict { at, depth: self.depth, fault: self.fault }
    }

    fn wrong<E: Error>(&self, at: &Place, detail: impl Into<String>) -> E {
        *self.fault.borrow_mut() = Some(Fault { pointer: at.pointer(), detail: detail.into() });
        E::custom("refused")
    }

    /// The same, one array or object further in.
    fn deeper<E: Error>(mut self) -> Result<Self, E> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong(self.at, format!("is nested more than {DEEPEST} levels deep")));
        }
        Ok(self)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| self.wrong(self.at, "is not a finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        if value.contains('\0') {
            return Err(self.wrong(self.at, "must not contain the character NUL"));
        }
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let strict = self.deeper()?;
        let mut items = Vec::new();
        loop {
            let at = Place::Index(strict.at, items.len());
            match sequence.next_element_seed(strict.inside(&at))? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let strict = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let at = Place::Key(strict.at, &key);
            if key.contains('\0') {
                return Err(strict.wrong(strict.at, "has a key with the character NUL"));
            }
            if object.contains_key(&key) {
                return Err(strict.wrong(&at, "stands twice in one object"));
            }
            let value = entries.next_value_seed(strict.inside(&at))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (String, String) {
        let fault = parse(text.as_bytes()).unwrap_err();
        (fault.pointer, fault.detail)
    }

    #[test]
    fn every_kind_of_value_is_read_as_usual() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,0.5,"x\n"],"b":{}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_key_that_stands_twice_is_pointed_at() {
        let (pointer, detail) = fault(r#"{"paths":[0,{"/a":{"get":1,"get":2}}]}"#);
        assert_eq!(pointer, "/paths/1/~1a/get");
        assert!(detail.contains("twice"), "{detail}");
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
        let (pointer, detail) = fault(&nested(DEEPEST + 1));
        assert_eq!(pointer, "/0".repeat(DEEPEST));
        assert!(detail.contains("nested"), "{detail}");
        // Long before the stack ends.
        assert!(fault(&"[".repeat(1 << 20)).1.contains("nested"));
    }

    #[test]
    fn a_nul_is_pointed_at_wherever_it_hides() {
        assert_eq!(fault(r#"{"a":["x","\u0000"]}"#).0, "/a/1");
        assert_eq!(fault(r#"{"a":{"\u0000":1}}"#).0, "/a");
    }

    #[test]
    fn what_is_not_json_is_said_without_repeating_it() {
        for text in ["", "{} {}", "{\"secret", "hunter2", "1e999", "[1,]", "\"\\ud800\"", "nul", "{'a':1}"] {
            let (pointer, detail) = fault(text);
            assert_eq!(pointer, "");
            assert!(detail.starts_with("is not JSON: ") && !detail.contains("hunter2"), "{detail}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn an_endless_key_is_not_repeated() {
        let key = "k".repeat(5000);
        assert_eq!(fault(&format!(r#"{{"a":{{"{key}":1,"{key}":2}}}}"#)).0, "/a");
    }
}
