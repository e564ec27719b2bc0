//! source/kinesis: being built.
