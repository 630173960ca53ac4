//! A key of an issuer of the tests, which signs whatever it is asked to.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What the issuer of the tests calls itself.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A private key and the id its public one is published under.
pub(crate) struct Signer {
    pub(crate) kid: String,
    key: Key,
}

enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl Signer {
    /// RS256, as most clusters sign.
    pub(crate) fn rsa(kid: &str) -> Self {
        Self { kid: kid.to_owned(), key: Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    /// ES256.
    pub(crate) fn p256(kid: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid: kid.to_owned(), key: Key::P256(key) }
    }

    /// The public key, as it is published.
    pub(crate) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.key {
            Key::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({
                    "kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid,
                    "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero()),
                })
            }
            Key::P256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": text(x), "y": text(y) })
            }
        }
    }

    /// A token with this header and these claims, well signed.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
            Key::P256(key) => key.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The header Kubernetes writes.
    pub(crate) fn header(&self) -> Value {
        let algorithm = match &self.key {
            Key::Rsa(_) => "RS256",
            Key::P256(_) => "ES256",
        };
        json!({ "alg": algorithm, "kid": self.kid })
    }

    /// A good token of `payments/checkout`, from now for ten minutes, with these claims in place of its own; null takes one out.
    pub(crate) fn token(&self, changed: &Value) -> String {
        self.sign(&self.header(), &claims(changed))
    }
}

/// The claims of such a token.
pub(crate) fn claims(changed: &Value) -> Value {
    let now = jsonwebtoken::get_current_timestamp();
    let mut claims = json!({
        "iss": ISSUER, "aud": ["levee"], "sub": "system:serviceaccount:payments:checkout",
        "iat": now, "nbf": now, "exp": now + 600, "jti": "1",
        "kubernetes.io": { "namespace": "payments", "serviceaccount": { "name": "checkout", "uid": "u" } },
    });
    for (name, value) in changed.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// These keys as they are published.
pub(crate) fn published(signers: &[&Signer]) -> Value {
    json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() })
}
