//! sink/kinesis: being built.
