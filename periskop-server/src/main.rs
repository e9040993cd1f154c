//! periskop-server
fn main() {}
