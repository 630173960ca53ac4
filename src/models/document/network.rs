//! `network` and `tls`: where an upstream may be, and whom to trust there.

use ipnet::IpNet;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::rustls::RootCertStore;

use super::Rules;
use crate::models::decode::{Fields, Object, Place};

/// The fields of `tls`.
pub(super) const TLS: Fields =
    Fields { known: &["ca"], unbuilt: &[("clientCert", "there is nowhere to keep a private key")] };

const NETWORK: Fields = Fields {
    known: &["allowCidrs"],
    unbuilt: &[("service", "a custom resource can name one as its `service`")],
};

/// Reads `network`: the private ranges this upstream is narrowed to.
pub(super) fn read(spec: &Object, rules: &Rules) -> Option<Vec<IpNet>> {
    let allowed = &rules.allowed_cidrs;
    let network = spec.block("network", NETWORK);
    network.read("allowCidrs", |place| {
        place.list_of(64, |item| {
            let range = item.address_range()?;
            let overlaps = |other: &IpNet| other.contains(&range) || range.contains(other);
            if !allowed.iter().any(overlaps) {
                item.refuse("has no effect: LEVEE_ALLOWED_CIDRS allows none of it, and a document can only narrow that");
                return None;
            }
            Some(range)
        })
    })
}

/// Reads PEM text that holds certificates which can be trusted as they are.
pub(super) fn certificates(place: &Place) -> Option<String> {
    let pem = place.text(256 << 10)?;
    let parsed: Result<Vec<CertificateDer>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let Ok(certificates) = parsed else {
        place.refuse("is not valid PEM");
        return None;
    };
    if certificates.is_empty() {
        place.refuse("holds no certificate; paste the PEM with its BEGIN CERTIFICATE line");
        return None;
    }
    let mut roots = RootCertStore::empty();
    if certificates.into_iter().try_for_each(|certificate| roots.add(certificate)).is_err() {
        place.refuse("holds something that is not a certificate, or none to trust");
        return None;
    }
    Some(pem.to_owned())
}
