//! The server over real sockets: its API, and what the reference's readers rely on.

mod changes;
mod lifecycle;
mod reference;
mod support;
mod v1;
