//! The published clients, as programs of their own, report to a real server and gateway.

mod go;
mod python;
mod rust;
