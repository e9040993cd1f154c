//! The tables: made where they are missing, left alone where a newer program has made them.
//!
//! Each script can be run again: where a database does not undo what it has made of tables, one
//! that was interrupted is completed by the next who comes.

use super::Trouble;
use super::dialect::{Dialect, Kind, Statement};
use super::schema::VERSION;

const VERSIONS: &str = "SELECT COALESCE(MAX(version), 0) FROM periskop_schema";

/// Brings the tables to the version of this program.
pub(super) async fn migrate<D: Dialect>(connection: &mut D::Connection) -> Result<(), Trouble> {
    // Who may only read and write rows needs no more where the tables are there.
    let found = match version::<D>(connection).await {
        Ok(found) => found,
        Err(Trouble::Database(sqlx::Error::Database(_))) => {
            let made =
                "CREATE TABLE IF NOT EXISTS periskop_schema (version BIGINT NOT NULL PRIMARY KEY)";
            run::<D>(connection, made).await?;
            version::<D>(connection).await?
        }
        Err(trouble) => return Err(trouble),
    };
    if found > VERSION {
        return Err(Trouble::Newer(found));
    }
    for (script, version) in D::SYNTAX.migrations.iter().zip(1_i64..) {
        if version <= found {
            continue;
        }
        tracing::info!(version, "making the tables of this version");
        for statement in D::SYNTAX.begin {
            run::<D>(connection, statement).await?;
        }
        for statement in script.split(";\n").map(without_comments) {
            if !statement.trim().is_empty() {
                run::<D>(connection, &statement).await?;
            }
        }
        let noted = format!("INSERT INTO periskop_schema (version) VALUES ({version})");
        match run::<D>(connection, &noted).await {
            // Another process has been at it at the same time, and was faster.
            Err(Trouble::Database(error)) if is_duplicate(&error) => {
                run::<D>(connection, "ROLLBACK").await?;
            }
            done => {
                done?;
                run::<D>(connection, "COMMIT").await?;
            }
        }
    }
    Ok(())
}

async fn version<D: Dialect>(connection: &mut D::Connection) -> Result<i64, Trouble> {
    let mut found = 0;
    let versions = Statement::new(D::SYNTAX, VERSIONS);
    D::fetch(connection, &versions, &[Kind::Int], &mut |mut row| {
        found = row.int()?;
        Ok(())
    })
    .await?;
    Ok(found)
}

async fn run<D: Dialect>(connection: &mut D::Connection, sql: &str) -> Result<u64, Trouble> {
    Ok(D::execute(connection, &Statement::new(D::SYNTAX, sql)).await?)
}

fn without_comments(sql: &str) -> String {
    sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n")
}

fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
