//! What every list shares: `?limit=` (1 to 200, 50) and `?cursor=`, answered with `items` and, when more follow, `next`.

use super::error::ApiError;
use crate::error::Failure;

/// Items on a page when the caller does not say.
pub(super) fn default_limit() -> u32 {
    50
}

/// The answer to a cursor that no page gave out.
pub(super) fn invalid_cursor() -> ApiError {
    Failure::invalid("cursor", "is not the `next` of a page of this list").into()
}
