//! periskop-client
