//! sink/stdout: being built.
