//! periskop-pushgw
fn main() {}
