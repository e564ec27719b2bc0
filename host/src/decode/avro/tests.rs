//! What the Avro decoder must do.
