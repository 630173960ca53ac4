//! Which paths the answer to an unsafe request makes worthless (RFC 9111 section 4.4).

use http::{HeaderMap, StatusCode, Uri, header};

use super::key::RequestView;

/// The paths that a successful answer to an unsafe request makes worthless: its own, and those of `Location` and
/// `Content-Location` on the same origin. Empty for other requests and answers.
pub(super) fn outdated_paths(
    request: &RequestView<'_>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Vec<String> {
    if request.method.is_safe() || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let named = [header::LOCATION, header::CONTENT_LOCATION]
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| same_origin_path(request, value.to_str().ok()?.trim()));
    std::iter::once(request.path.to_owned()).chain(named).collect()
}

/// The path of a reference resolved against the request (RFC 3986 section 5.2), if it is on its origin.
fn same_origin_path(request: &RequestView<'_>, reference: &str) -> Option<String> {
    let reference = reference.split(['?', '#']).next()?;
    let scheme = if request.https { "https" } else { "http" };
    if let Some(rest) = reference.strip_prefix("//") {
        return same_origin_path(request, &format!("{scheme}://{rest}"));
    }
    if reference.starts_with('/') {
        return Some(without_dots(reference));
    }
    if !reference.contains("://") {
        let base = &request.path[..=request.path.rfind('/')?];
        return Some(if reference.is_empty() {
            request.path.to_owned()
        } else {
            without_dots(&format!("{base}{reference}"))
        });
    }
    let uri: Uri = reference.parse().ok()?;
    let default = if request.https { 443 } else { 80 };
    let same = uri.scheme_str() == Some(scheme)
        && uri.host()?.trim_matches(['[', ']']).eq_ignore_ascii_case(request.host)
        && uri.port_u16().unwrap_or(default) == request.port;
    same.then(|| without_dots(uri.path()))
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests;
