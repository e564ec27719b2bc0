//! sink/firehose: being built.
