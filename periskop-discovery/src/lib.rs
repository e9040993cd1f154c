//! periskop-discovery
