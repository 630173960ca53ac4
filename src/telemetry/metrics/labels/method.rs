//! Request methods as label values.

use http::Method;

use super::Label;

label! {
    /// Request methods; what is not in the list counts as `_other`.
    pub(in crate::telemetry::metrics) enum MethodLabel {
        /// GET.
        Get = "GET",
        /// HEAD.
        Head = "HEAD",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// PATCH.
        Patch = "PATCH",
        /// DELETE.
        Delete = "DELETE",
        /// OPTIONS.
        Options = "OPTIONS",
        /// Anything else.
        Other = "_other",
    }
}

impl From<&Method> for MethodLabel {
    fn from(method: &Method) -> Self {
        Self::ALL.iter().copied().find(|known| known.text() == method.as_str()).unwrap_or(Self::Other)
    }
}
