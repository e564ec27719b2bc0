//! sink/memory: being built.
