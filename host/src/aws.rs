//! The only door to AWS: endpoint, region, profile and role become a configuration that clients are made from.
