//! sink/file: being built.
