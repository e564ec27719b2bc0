//! decode/json: being built.
