//! Where Redis is, read from a URL and refused with a reason.

use std::sync::Arc;

use fred::types::config::{Config, ServerConfig, TlsConfig, TlsConnector, TlsHostMapping};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The forms that are understood, with TLS and without.
const SCHEMES: [(&str, &str); 3] =
    [("rediss", "redis"), ("rediss-cluster", "redis-cluster"), ("rediss-sentinel", "redis-sentinel")];

/// Where Redis is and how to get in: one server, a cluster, or what Sentinels say.
///
/// `redis://[[user:]password@]host[:port][/database]`, with `rediss` for TLS;
/// `redis-cluster://…?node=host:port[&node=…]`;
/// `redis-sentinel://…?node=…&sentinelServiceName=name[&sentinelUsername=…&sentinelPassword=…]`.
#[derive(Clone)]
pub struct Address {
    config: Config,
}

impl Address {
    /// Reads a URL. The reason of a refusal repeats nothing of it: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or_else(expected)?;
        let plain = SCHEMES.iter().find(|(tls, plain)| scheme == *tls || scheme == *plain);
        let (tls, plain) = *plain.ok_or_else(expected)?;
        // Read without TLS: the library's own default takes its roots and its cryptography from elsewhere.
        let mut config = Config::from_url(&format!("{plain}://{rest}"))
            .map_err(|error| format!("is no address of Redis: {}", error.details().replace(rest, "…")))?;
        if config.server.hosts().iter().any(|server| server.host.is_empty()) {
            return Err("names no host".to_owned());
        }
        check_form(&config, rest)?;
        if scheme == tls {
            config.tls = Some(tls_config(&config.server)?);
        }
        config.fail_fast = false;
        Ok(Self { config })
    }

    /// Host and port of every server that is named.
    pub fn servers(&self) -> Vec<(String, u16)> {
        self.config.server.hosts().iter().map(|server| (server.host.to_string(), server.port)).collect()
    }

    pub(super) fn config(&self) -> Config {
        self.config.clone()
    }
}

/// What may stand before every key: it becomes part of the hash tag, so it has no braces.
pub fn is_prefix(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// What the parser lets pass although it cannot be meant.
fn check_form(config: &Config, rest: &str) -> Result<(), String> {
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let database = before.rsplit_once('@').map_or(before, |(_, host)| host).split_once('/');
    let database = database.map_or("", |(_, path)| path);
    match &config.server {
        ServerConfig::Clustered { .. } if !database.is_empty() && database != "0" => {
            Err("a cluster has no databases but 0".to_owned())
        }
        ServerConfig::Centralized { .. } if !query.is_empty() => {
            Err("one server has no parameters; `node` is for redis-cluster:// and redis-sentinel://"
                .to_owned())
        }
        _ => Ok(()),
    }
}

fn expected() -> String {
    "is neither redis://… nor rediss://…, redis-cluster://…, redis-sentinel://… or their forms with TLS"
        .to_owned()
}

/// The system's roots; `SSL_CERT_FILE` names others. The nodes of a cluster know each other by address, and are
/// checked by the name they were asked for.
fn tls_config(server: &ServerConfig) -> Result<TlsConfig, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err("needs TLS, and no trusted root certificates are installed on this system".to_owned());
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let hostnames = if server.is_clustered() { TlsHostMapping::DefaultHost } else { TlsHostMapping::None };
    Ok(TlsConfig { connector: TlsConnector::from(client), hostnames })
}

impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<String> = self.config.server.hosts().iter().map(ToString::to_string).collect();
        formatter.debug_struct("Address").field("hosts", &hosts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        let config = |url: &str| Address::parse(url).unwrap().config;
        let one = config("redis://ada:secret@cache.internal:6380/2");
        assert_eq!(one.server.hosts()[0].to_string(), "cache.internal:6380");
        assert_eq!((one.username.as_deref(), one.database), (Some("ada"), Some(2)));
        assert!(!one.fail_fast && one.tls.is_none());
        let cluster = config("redis-cluster://a:7000?node=b:7001&node=c:7002");
        assert!(cluster.server.is_clustered());
        assert_eq!(cluster.server.hosts().len(), 3);
        let named = Address::parse("redis-cluster://a:7000?node=b:7001").unwrap().servers();
        for server in [("a", 7000), ("b", 7001)] {
            assert!(named.iter().any(|(host, port)| (host.as_str(), *port) == server), "{named:?}");
        }
        let sentinel = config("redis-sentinel://:secret@a:26379?node=b:26379&sentinelServiceName=main");
        assert!(sentinel.server.is_sentinel());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_repeating_the_password() {
        let refused = |url: &str| Address::parse(url).unwrap_err();
        for url in [
            "cache.internal:6379",
            "http://cache.internal",
            "redis://:hunter2@cache.internal:port",
            "redis://:hunter2@cache.internal/two",
            "redis://:hunter2@cache.internal?node=b:1",
            "redis-sentinel://:hunter2@a:26379",
            "redis-cluster://:hunter2@a:7000/3",
            "redis://",
        ] {
            assert!(!refused(url).contains("hunter2"), "{url}: {}", refused(url));
        }
    }

    #[test]
    fn the_address_shows_no_password() {
        let shown = format!("{:?}", Address::parse("redis://:hunter2@cache.internal").unwrap());
        assert!(shown.contains("cache.internal") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_prefix_has_no_braces() {
        assert!(is_prefix("levee") && is_prefix("team-a:levee.v1"));
        assert!(!is_prefix("") && !is_prefix("a{b}") && !is_prefix("a b") && !is_prefix(&"a".repeat(65)));
    }
}
