//! The custom resource definition `Upstream`.

/// The API group.
pub const GROUP: &str = "levee.dev";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// Group and version.
pub const API_VERSION: &str = "levee.dev/v1alpha1";
/// The kind.
pub const KIND: &str = "Upstream";
/// Many of them.
pub const PLURAL: &str = "upstreams";
