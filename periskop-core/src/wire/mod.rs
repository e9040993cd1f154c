//! Formats on the wire.

pub mod exporter;
