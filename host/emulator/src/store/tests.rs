//! Tests of the whole core in virtual time.
