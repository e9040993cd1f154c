//! Each mechanism of discovery beside the real server that it asks, or a recording of it.

mod bind;
mod command;
mod dns;
mod docker;
mod docs;
mod hostile;
mod kubernetes;
mod moto;
mod prometheus;
mod zookeeper;
