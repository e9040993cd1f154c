//! Data source names: which database, and how it is reached.
//!
//! Each database is named in two ways: by a URL, and as Go's drivers have it, because that is
//! what stands in the configurations of the reference. Both come to the same typed parts.
//!
//! - No input makes this panic, and no error, `Display` or `Debug` shows a password, wrongly
//!   quoted ones included.
//! - What is stored never depends on a DSN: parameters that set a connection's character set, its
//!   time zone or how texts and times are read are accepted and ignored. We speak UTF-8, and
//!   times are stored as numbers.
//! - A parameter that asks for more security than we can give is refused and not ignored.

mod error;
mod keywords;
mod mysql;
mod parts;
mod postgres;

pub use error::DsnError;
pub use mysql::MySqlDsn;
pub use postgres::PostgresDsn;
