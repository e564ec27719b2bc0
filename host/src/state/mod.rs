//! What is remembered per key.
