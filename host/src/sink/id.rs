//! sink/id: being built.
