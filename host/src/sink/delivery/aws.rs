//! What a failed call of an AWS SDK means for a delivery.
//!
//! The rule: a code that a person must do something about is final; everything else may be sent again, and may have been written.
//! Whoever was stopped while a call was under way must not send it again when it wakes up: the SDK asks before each transmission.
//! Left to others: sending again (`delivery`), and the calls themselves.

use aws_sdk_kinesis::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::{BoxError, ProvideErrorMetadata, SdkError},
};

use super::CallFailed;
use crate::{aws::said, error::Happened, permit::Permit};

/// Asks for the permit before each transmission, those that the SDK repeats by itself too.
#[derive(Debug)]
pub struct Permitted(pub Permit);

impl Intercept for Permitted {
    fn name(&self) -> &'static str {
        "permit"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.check().map_err(Into::into)
    }
}

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
