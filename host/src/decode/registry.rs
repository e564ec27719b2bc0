//! decode/registry: being built.
