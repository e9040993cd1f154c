//! The laws of a store, held by PostgreSQL and MariaDB, each law in a database of its own.

use std::str::FromStr;

use periskop_core::storage::Storage;
use periskop_storage::SqlStorage;
use periskop_tests::database::{Database, Server};
use periskop_tests::skip;

/// Runs a law, if there is a server for it.
fn run(server: Server) -> impl Fn(std::pin::Pin<Box<dyn Future<Output = ()>>>) {
    move |law| match std::env::var_os(server.variable()) {
        Some(_) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.expect("a runtime").block_on(law);
        }
        None => skip(format!("{} is not set", server.variable())),
    }
}

/// The store in a database that is made when it is asked for first.
async fn open(database: &mut Option<Database>, server: Server) -> Box<dyn Storage> {
    if database.is_none() {
        *database = Database::fresh(server).await;
    }
    let url = database.as_ref().expect("there is a server").url();
    Box::new(match server {
        Server::Postgres => {
            let options = sqlx::postgres::PgConnectOptions::from_str(url);
            SqlStorage::postgres(options.expect("it is a URL"), "postgres", None)
        }
        Server::MySql => {
            let options = sqlx::mysql::MySqlConnectOptions::from_str(url);
            SqlStorage::mysql(options.expect("it is a URL"), "mysql", None)
        }
    })
}

macro_rules! laws {
    ($name:ident, $server:expr) => {
        mod $name {
            use super::*;

            periskop_core::storage_conformance! {
                run: |law| run($server)(Box::pin(law)),
                open: {
                    let mut database = None;
                    async move || open(&mut database, $server).await
                },
            }

            mod shared {
                use super::*;

                periskop_core::shared_storage_conformance! {
                    run: |law| run($server)(Box::pin(law)),
                    open: {
                        let mut database = None;
                        async move || open(&mut database, $server).await
                    },
                }
            }
        }
    };
}

laws!(postgres, Server::Postgres);
laws!(mariadb, Server::MySql);
