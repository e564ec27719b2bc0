//! Tests from outside: cases as folders, and drift of what is generated.
#![allow(clippy::unwrap_used, reason = "tests")]

mod check_cases;
