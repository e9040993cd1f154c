//! periskop-storage
