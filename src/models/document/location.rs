//! Where an upstream is: its `url`, or the `service` of the cluster that a custom resource names.

use ipnet::IpNet;

use super::{Home, base_url};
use crate::models::decode::{Fields, Object, Place};
use crate::models::policy::BaseUrl;

const SERVICE: Fields = Fields::all(&["name", "port"]);

/// Reads the one that is given. `allowed` are the private ranges that may be dialled, `narrowed` the document's own.
pub(super) fn read(
    spec: &Object,
    home: Home<'_>,
    allowed: &[IpNet],
    narrowed: Option<&[IpNet]>,
) -> Option<BaseUrl> {
    let url = |place: &Place| base_url::read(place, allowed, narrowed);
    let (Home::Namespace(namespace), Some(given)) = (home, spec.get("service")) else {
        return spec.required("url", url);
    };
    let one = spec.exactly_one(&["url", "service"]);
    let service = service(&given, namespace);
    spec.read("url", url);
    service.filter(|_| one)
}

/// Its name in the cluster's DNS, without the cluster's own domain, which the resolver knows.
fn service(place: &Place, namespace: &str) -> Option<BaseUrl> {
    let block = place.object(SERVICE)?;
    let name = block.required("name", service_name);
    let port = block.required("port", |place| place.integer(1..=65_535));
    let port = port.and_then(|port| u16::try_from(port).ok());
    let host = format!("{}.{namespace}.svc", name?);
    Some(BaseUrl { https: false, host, port: port?, path: String::new() })
}

/// A DNS label (RFC 1035) that begins with a letter, as the cluster has them.
fn service_name<'a>(place: &Place<'a>) -> Option<&'a str> {
    let name = place.line(63)?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.bytes().all(allowed)
        || !name.starts_with(|first: char| first.is_ascii_lowercase())
        || name.ends_with('-')
    {
        place.refuse("is not the name of a service: a-z, 0-9 and `-`, beginning with a letter");
        return None;
    }
    Some(name)
}
