//! source/memory: being built.
