//! The language by examples, and laws of it.

mod errors;
mod means;
mod properties;
mod reads;
