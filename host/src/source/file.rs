//! source/file: being built.
