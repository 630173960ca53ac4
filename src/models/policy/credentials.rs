//! Which credentials Levee adds to the calls of an upstream, and where those may go. The secret itself is never here.

use http::{HeaderName, header};

use super::BaseUrl;

/// `credentials`: how the stored secret becomes a part of each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A header whose value holds the secret.
    Header {
        /// The header.
        name: HeaderName,
        /// What stands before the secret.
        before: String,
        /// What stands after it.
        after: String,
    },
    /// `Authorization: Basic` (RFC 7617), with the secret as password.
    Basic {
        /// The user name, without a colon.
        username: String,
    },
    /// `Authorization: Bearer` with a token that the secret is exchanged for.
    OAuth2(OAuth2),
}

/// The client credentials grant (RFC 6749 section 4.4), with the secret as the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// Where tokens are issued; unlike an upstream's, its path is exactly as written.
    pub token_url: BaseUrl,
    /// The client's name there.
    pub client_id: String,
    /// What the token is to be good for; what the server thinks best where there are none.
    pub scopes: Vec<String>,
}

impl Credentials {
    /// The header they go into.
    pub fn header(&self) -> &HeaderName {
        match self {
            Self::Header { name, .. } => name,
            Self::Basic { .. } | Self::OAuth2(_) => &header::AUTHORIZATION,
        }
    }

    /// The origins the secret, or what it is exchanged for, is sent to.
    pub fn origins(&self, url: &BaseUrl) -> Vec<String> {
        match self {
            Self::Header { .. } | Self::Basic { .. } => vec![url.origin()],
            Self::OAuth2(OAuth2 { token_url, .. }) => vec![url.origin(), token_url.origin()],
        }
    }

    /// Where the secret, or what it is exchanged for, may go, `url` being the upstream's: the origins, and the place in a
    /// request. A stored secret is sealed with this text: whoever changes one of them makes it unreadable, and changing
    /// it back readable. The place is part of it because upstreams echo some headers (`X-Request-Id`, `Origin`): moved
    /// into one of those, a secret could be read in the answer to a call.
    pub fn binding(&self, url: &BaseUrl) -> String {
        let origin = url.origin();
        match self {
            Self::Header { name, .. } => format!("{origin} header {name}"),
            Self::Basic { .. } => format!("{origin} basic"),
            Self::OAuth2(OAuth2 { token_url, .. }) => format!("{origin} oauth2 {}", token_url.origin()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(https: bool, host: &str, port: u16) -> BaseUrl {
        BaseUrl { https, host: host.to_owned(), port, path: "/v1".to_owned() }
    }

    #[test]
    fn the_binding_changes_with_scheme_host_and_port_and_not_with_the_path() {
        let basic = Credentials::Basic { username: "ada".into() };
        let bound = basic.binding(&url(true, "api.example.com", 443));
        assert_eq!(bound, "https://api.example.com:443 basic");
        assert_eq!(
            basic.binding(&BaseUrl { path: "/v2".into(), ..url(true, "api.example.com", 443) }),
            bound
        );
        for other in [
            url(false, "api.example.com", 443),
            url(true, "api.example.org", 443),
            url(true, "api.example.com", 8443),
        ] {
            assert_ne!(basic.binding(&other), bound);
        }
        assert_eq!(basic.binding(&url(true, "fd00::1", 443)), "https://[fd00::1]:443 basic");
    }

    #[test]
    fn a_secret_cannot_be_moved_to_another_header_but_what_stands_round_it_may_change() {
        let into = |name: &'static str, before: &str| {
            let (name, before) = (HeaderName::from_static(name), before.to_owned());
            Credentials::Header { name, before, after: String::new() }.binding(&url(
                true,
                "api.example.com",
                443,
            ))
        };
        assert_eq!(into("x-api-key", "Key "), into("x-api-key", "Token "));
        assert_ne!(into("x-api-key", ""), into("x-request-id", ""));
        let basic = Credentials::Basic { username: "ada".into() }.binding(&url(true, "api.example.com", 443));
        assert_ne!(into("authorization", "Basic "), basic);
    }

    #[test]
    fn a_token_servers_origin_is_part_of_the_binding() {
        let oauth2 = |token_url| {
            Credentials::OAuth2(OAuth2 { token_url, client_id: "levee".into(), scopes: Vec::new() })
        };
        let api = url(true, "api.example.com", 443);
        let bound = oauth2(url(true, "login.example.com", 443)).binding(&api);
        assert_eq!(bound, "https://api.example.com:443 oauth2 https://login.example.com:443");
        assert_ne!(oauth2(url(true, "evil.example", 443)).binding(&api), bound);
        assert_ne!(Credentials::Basic { username: "levee".into() }.binding(&api), bound);
    }
}
