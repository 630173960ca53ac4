//! Lua scripts: known to Redis by their digest, sent whole only where it does not know them yet.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use fred::error::Error;
use fred::interfaces::LuaInterface as _;
use fred::types::{FromValue, Value};

use super::Asker;

/// A script; make a `static` of each.
pub struct Script {
    source: &'static str,
    digest: OnceLock<String>,
}

impl Script {
    /// A script of this text. It names every key it touches as one of `KEYS`, all of one slot.
    pub const fn new(source: &'static str) -> Self {
        Self { source, digest: OnceLock::new() }
    }

    pub(super) async fn run<T: FromValue>(
        &self,
        client: Asker,
        keys: Vec<String>,
        arguments: Vec<Value>,
    ) -> Result<T, Error> {
        match client.evalsha(self.digest().to_owned(), keys.clone(), arguments.clone()).await {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                client.eval(self.source, keys, arguments).await
            }
            answered => answered,
        }
    }

    /// SHA-1 is what Redis names scripts by.
    fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, self.source.as_bytes());
            digest.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_sha1() {
        assert_eq!(Script::new("return 1").digest(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
