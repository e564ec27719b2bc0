//! decode/avro: being built.
