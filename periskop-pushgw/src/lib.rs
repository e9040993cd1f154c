//! The push gateway: for processes that do not live long enough to be scraped, and for forking
//! servers that push from every worker.
//!
//! Clients push their whole state, some of them on every exception. The gateway merges what they push
//! like a server merges what it scrapes, so that a payload that arrives a hundred times counts
//! once, and exports the merged state with `incarnations`: whoever reads it, by however many
//! paths, counts exactly.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use periskop_core::ReplicaId;
//! use periskop_pushgw::{Gateway, Settings, Web};
//!
//! // Mounted into an application, or by itself:
//! let gateway = Gateway::new(Settings::default(), ReplicaId::from_u64(rand::random()));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:7878").await?;
//! gateway.serve(listener, Web::open(), std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Without a store the state lives as long as the process, and a restart begins anew; clients push
//! their whole state, so what is still alive comes back with its next push. With one
//! ([`Gateway::open`]) a push is durable before it is answered, and a restart loses nothing.

mod body;
pub mod cli;
mod clock;
mod gateway;
mod heard;
mod http;
mod keeping;
mod metrics;
mod push_error;
mod pushers;
mod run;
mod seldom;
mod web;

pub use gateway::{Gateway, ServeError, Settings};
pub use push_error::{PushError, Pushed};
pub use run::{RunError, run};
pub use web::Web;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
