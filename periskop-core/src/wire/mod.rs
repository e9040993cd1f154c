//! Formats on the wire, and in stores.

pub mod exporter;
pub mod state;
