//! periskop-server

pub mod ui;
