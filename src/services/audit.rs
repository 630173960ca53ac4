//! Who changed what, when.

/// Reads the audit list.
#[derive(Clone)]
pub struct AuditService {}
