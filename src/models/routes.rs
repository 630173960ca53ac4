//! Which route template a path belongs to: logs and metrics name requests by it, never by what a client wrote.

use std::sync::Arc;

/// The templates of everything the control plane serves, as the document writes them: `/api/v1/users/{id}`.
#[derive(Debug, Clone)]
pub struct Routes(Arc<[String]>);

impl Routes {
    /// Of these templates.
    pub fn new(templates: impl IntoIterator<Item = String>) -> Self {
        let mut templates: Vec<_> = templates.into_iter().collect();
        // Where two fit, the one that spells out more is meant.
        templates.sort_by_key(|template| template.matches('{').count());
        Self(templates.into())
    }

    /// The template a path fits; `None` when there is nothing at it.
    pub fn of(&self, path: &str) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|template| fits(template, path))
    }
}

/// Whether a path has as many segments as a template, each the same or standing where a parameter does.
pub fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given))
                if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_named_by_the_template_that_spells_out_most() {
        let templates = ["/a/{id}", "/a/validate", "/a/{id}/b", "/a"].map(str::to_owned);
        let routes = Routes::new(templates);
        for (path, template) in [
            ("/a", Some("/a")),
            ("/a/7", Some("/a/{id}")),
            ("/a/x%2Fy", Some("/a/{id}")),
            ("/a/validate", Some("/a/validate")),
            ("/a/7/b", Some("/a/{id}/b")),
            ("/a/", None),
            ("/a/7/c", None),
            ("/", None),
        ] {
            assert_eq!(routes.of(path), template, "{path}");
        }
    }
}
