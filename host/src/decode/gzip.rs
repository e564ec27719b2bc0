//! decode/gzip: being built.
