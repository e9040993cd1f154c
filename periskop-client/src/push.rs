//! Pushing to a gateway, for what does not live long enough to be scraped or cannot be reached.
//!
//! A batch job pushes once, before it ends:
//!
//! ```no_run
//! use periskop_client::{Collector, push::Gateway};
//!
//! let collector = Collector::new();
//! // … the work, reporting what goes wrong …
//! let gateway = Gateway::builder("http://gateway.internal:7878/errors")
//!     .bearer_token_file("/run/secrets/periskop")
//!     .build()?;
//! if let Err(error) = gateway.push_once(&collector) {
//!     eprintln!("the errors of this run are not counted: {error}");
//! }
//! # Ok::<_, periskop_client::push::PushError>(())
//! ```
//!
//! What lives longer has a [`Pusher`] push what has changed, in a thread of its own. A push is the
//! whole state: one that is repeated, late or lost does no harm.
//!
//! HTTP is spoken by `ureq` in that thread, which needs no runtime; TLS is rustls. Redirects are
//! not followed: credentials go where they were meant to.

mod error;
mod gateway;
mod pusher;
mod schedule;
mod transport;

pub use error::PushError;
pub use gateway::{Gateway, GatewayBuilder};
pub use pusher::{PushStatus, Pusher, PusherBuilder};
