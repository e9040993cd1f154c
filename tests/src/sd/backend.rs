//! The backend of a case for a program that is configured as its users configure it.

use serde_json::{Map, Value as Json};
use tempfile::TempDir;

use super::case::{Case, Placeholders};
use super::mock::Mock;
use super::replay::{RSA_KEY, RSA_KEY_FILE, apply_all};

/// A running backend of a case. Two programs that are compared have one each, since some answers
/// come in an order.
pub struct Backend {
    /// The settings that lead there, by their key, as in a service or a scrape configuration.
    pub settings: Map<String, Json>,
    places: Placeholders,
    mock: Option<Mock>,
    _directory: TempDir,
}

impl Backend {
    /// Starts one. All steps on files are done.
    ///
    /// # Errors
    ///
    /// Why that case has no backend here.
    pub async fn start(case: &Case) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (mut places, mock) = match case.request.transport.as_str() {
            scheme @ ("http" | "https") => {
                let routes = case.request.routes.clone();
                let mock = Mock::start(scheme, routes, case.dir.clone()).await;
                (Placeholders::server_of(scheme, mock.address()), Some(mock))
            }
            "file" => (Placeholders::default(), None),
            other => return Err(format!("there is no backend for {other} here")),
        };
        places.set("{{DIR}}", directory.path().display().to_string());
        places.set("{{CASE_DIR}}", case.dir.display().to_string());
        places.set("{{RSA_KEY_FILE}}", RSA_KEY_FILE);
        places.set("{{RSA_PRIVATE_KEY_PEM}}", RSA_KEY.replace('\n', "\\n"));
        if mock.is_none() {
            apply_all(case, directory.path()).map_err(|e| e.to_string())?;
        }
        let items = Json::Array(vec![case.item(&places)]);
        let settings = Map::from_iter([(case.key().to_owned(), items)]);
        Ok(Self { settings, places, mock, _directory: directory })
    }

    /// Whether it was asked, if it is one that is asked.
    pub fn was_asked(&self) -> bool {
        self.mock.as_ref().is_none_or(|mock| mock.asked() > 0)
    }

    /// The text with placeholders for where this backend is.
    pub fn without_address(&self, text: &str) -> String {
        self.places.take_out(text)
    }
}

impl Case {
    /// Whether there are targets when the backend was asked once.
    pub fn has_targets(&self) -> bool {
        self.finds_targets()
    }
}
