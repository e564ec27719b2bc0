//! What a failed call of an AWS SDK means for a delivery.
//!
//! The rule: a code that a person must do something about is final; everything else may be sent again, and may have been written.
//! Left to others: sending again (`delivery`), and the calls themselves.

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

use super::CallFailed;
use crate::{aws::said, error::Happened};

/// What a failed call of the SDK means.
pub fn call_failed<E, R>(failed: &SdkError<E, R>) -> CallFailed
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    /// Codes that a person must do something about.
    const FINAL: [&str; 10] = [
        "ResourceNotFoundException",
        "InvalidArgumentException",
        "ValidationException",
        "AccessDeniedException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "KMSOptInRequired",
        "InvalidKMSResourceException",
    ];
    let code = failed.as_service_error().and_then(ProvideErrorMetadata::code);
    let is_final = code.is_some_and(|code| FINAL.contains(&code));
    let refused = is_final || matches!(failed, SdkError::ConstructionFailure(_));
    let happened = if refused { Happened::No } else { Happened::Perhaps };
    CallFailed { why: said(failed), is_final, happened }
}
