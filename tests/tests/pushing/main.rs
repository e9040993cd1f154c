//! The gateway as programs that end soon use it.

mod plainly;
mod securely;
mod stores;
