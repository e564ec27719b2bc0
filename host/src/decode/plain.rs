//! decode/plain: being built.
