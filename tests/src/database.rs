//! A database of a test's own, on a real PostgreSQL or MariaDB.
//!
//! The servers are started by `scripts/test`, not here: a test only learns where they are, from
//! `PERISKOP_POSTGRES` and `PERISKOP_MYSQL`, and makes a database there that nobody else knows.

use std::env;

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};
use url::Url;

use crate::cut::Proxy;
use crate::skip;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL.
    Postgres,
    /// MariaDB, or whatever else speaks the protocol of MySQL.
    MySql,
}

impl Server {
    /// The variable that says where it is, as a URL of a user who may do everything.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "PERISKOP_POSTGRES",
            Self::MySql => "PERISKOP_MYSQL",
        }
    }

    async fn run(self, url: &Url, statement: String) -> Result<(), sqlx::Error> {
        // Not prepared, which neither server does with every statement.
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        match self {
            Self::Postgres => {
                let mut connection = PgConnection::connect(url.as_str()).await?;
                connection.execute(statement).await?;
                connection.close().await
            }
            Self::MySql => {
                let mut connection = MySqlConnection::connect(url.as_str()).await?;
                connection.execute(statement).await?;
                connection.close().await
            }
        }
    }
}

/// A database with a random name, empty at first.
///
/// It is left behind if the test does not [drop it](Self::drop_database), which only costs space:
/// `scripts/test` throws the whole server away.
#[derive(Debug)]
pub struct Database {
    server: Server,
    /// Where databases are made and dropped.
    server_url: Url,
    url: Url,
}

impl Database {
    /// Makes one. If there is no such server, says that the test is [skipped](skip).
    ///
    /// # Panics
    ///
    /// If there should be such a server, but it does not do what it is asked.
    pub async fn fresh(server: Server) -> Option<Self> {
        let variable = server.variable();
        let Some(server_url) = env::var(variable).ok().filter(|url| !url.is_empty()) else {
            skip(format_args!("{variable} is not set"));
            return None;
        };
        let server_url = Url::parse(&server_url).unwrap_or_else(|error| {
            panic!("{variable} is no URL: {error}");
        });
        let name = format!("periskop_{:016x}", rand::random::<u64>());
        let mut url = server_url.clone();
        url.set_path(&name);
        let create = format!("CREATE DATABASE {name}");
        server.run(&server_url, create).await.unwrap_or_else(|error| panic!("{server:?}: {error}"));
        Some(Self { server, server_url, url })
    }

    /// The server that it is on.
    pub fn server(&self) -> Server {
        self.server
    }

    /// Its name, which needs no quotes.
    pub fn name(&self) -> &str {
        self.url.path().trim_start_matches('/')
    }

    /// Where it is, with user, password and name.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// A proxy in front of its server, to be cut. Called within a runtime.
    pub fn proxy(&self) -> Proxy {
        let host = self.server_url.host_str().unwrap_or("localhost");
        let port = self.server_url.port().unwrap_or(match self.server {
            Server::Postgres => 5432,
            Server::MySql => 3306,
        });
        Proxy::to(&format!("{host}:{port}"))
    }

    /// Where it is for whoever goes through `proxy`.
    ///
    /// # Panics
    ///
    /// Never: a URL that has a host can have another.
    pub fn url_through(&self, proxy: &Proxy) -> String {
        let mut url = self.url.clone();
        url.set_ip_host(proxy.address().ip()).expect("it has a host");
        url.set_port(Some(proxy.address().port())).expect("it has a host");
        url.into()
    }

    /// Drops it, and in PostgreSQL whatever connections there still are. MariaDB waits for
    /// transactions that are open in it.
    ///
    /// # Panics
    ///
    /// If it cannot be dropped.
    pub async fn drop_database(self) {
        let force = match self.server {
            Server::Postgres => " WITH (FORCE)",
            Server::MySql => "",
        };
        let drop = format!("DROP DATABASE {}{force}", self.name());
        self.server
            .run(&self.server_url, drop)
            .await
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.server));
    }
}
