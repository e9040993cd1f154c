//! periskop-server
