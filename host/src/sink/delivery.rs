//! Entries on their way to a service that takes many at once and may refuse some of them.
