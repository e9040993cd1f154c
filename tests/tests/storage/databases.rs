//! The databases that other tests use: they can be had, taken away, given back and dropped.

use periskop_tests::database::{Database, Server};
use sqlx::{Connection, Error, MySqlConnection, PgConnection};

/// Asks who is there, and in which database.
async fn ask(server: Server, url: &str) -> Result<(i32, String), Error> {
    match server {
        Server::Postgres => {
            let mut connection = PgConnection::connect(url).await?;
            let question = "SELECT 1, current_database()::text";
            sqlx::query_as(question).fetch_one(&mut connection).await
        }
        Server::MySql => {
            let mut connection = MySqlConnection::connect(url).await?;
            sqlx::query_as("SELECT 1, database()").fetch_one(&mut connection).await
        }
    }
}

async fn a_database_comes_and_goes(server: Server) {
    let Some(database) = Database::fresh(server).await else { return };
    let found = (1, database.name().to_owned());
    assert_eq!(ask(server, database.url()).await.expect("it answers"), found);

    let mut proxy = database.proxy();
    let url = database.url_through(&proxy);
    assert_eq!(ask(server, &url).await.expect("it answers"), found);
    proxy.cut().await;
    assert!(matches!(ask(server, &url).await, Err(Error::Io(_))));
    assert_eq!(ask(server, database.url()).await.expect("it answers"), found);
    proxy.restore();
    assert_eq!(ask(server, &url).await.expect("it answers"), found);

    let url = database.url().to_owned();
    database.drop_database().await;
    assert!(matches!(ask(server, &url).await, Err(Error::Database(_))));
}

#[tokio::test]
async fn a_postgres_database_comes_and_goes() {
    a_database_comes_and_goes(Server::Postgres).await;
}

#[tokio::test]
async fn a_mysql_database_comes_and_goes() {
    a_database_comes_and_goes(Server::MySql).await;
}
