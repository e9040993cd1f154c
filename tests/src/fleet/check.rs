//! Whether a server shows the truth.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{Difference, Truth};

/// Why nobody knows what a server shows.
#[derive(Debug, thiserror::Error)]
#[error("the server's errors cannot be read: {0}")]
pub struct Unreadable(String);

#[derive(Deserialize)]
struct Page {
    errors: Vec<Error>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Error {
    service: String,
    aggregation_key: String,
    total_count: u64,
}

/// The totals that a server shows of these services.
///
/// # Errors
///
/// It does not answer, or says something else.
pub async fn shown(server: &Url, services: &[String]) -> Result<Truth, Unreadable> {
    let unreadable = |error: &dyn std::fmt::Display| Unreadable(error.to_string());
    let client = crate::http();
    let mut truth = Truth::default();
    let mut cursor = None;
    loop {
        let mut url = server.join("api/v1/errors").map_err(|e| unreadable(&e))?;
        // By what does not change while the pages are turned.
        url.query_pairs_mut().extend_pairs([("limit", "1000"), ("sort", "first_seen")]);
        url.query_pairs_mut().extend_pairs(services.iter().map(|name| ("service", name)));
        url.query_pairs_mut().extend_pairs(cursor.iter().map(|c: &String| ("cursor", c)));
        let answer = client.get(url).send().await.map_err(|e| unreadable(&e))?;
        let answer = answer.error_for_status().map_err(|e| unreadable(&e))?;
        let body = answer.bytes().await.map_err(|e| unreadable(&e))?;
        let page: Page = serde_json::from_slice(&body).map_err(|e| unreadable(&e))?;
        for error in page.errors {
            truth.add(&error.service, error.aggregation_key, error.total_count);
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(truth),
        }
    }
}

/// Asks until the totals are the truth, for `patience` at most. What is different in the end.
///
/// # Errors
///
/// The server cannot be asked in the end.
pub async fn until_equal(
    server: &Url,
    truth: &Truth,
    patience: Duration,
) -> Result<Vec<Difference>, Unreadable> {
    let services: Vec<_> = truth.services().map(str::to_owned).collect();
    let deadline = Instant::now() + patience;
    loop {
        let found = shown(server, &services).await.map(|shown| truth.differences(&shown));
        match found {
            Ok(differences) if differences.is_empty() => return Ok(differences),
            found if Instant::now() > deadline => return found,
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
