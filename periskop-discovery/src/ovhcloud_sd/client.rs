//! OVHcloud's API, asked by signed requests.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_core::config::Secret;
use periskop_core::discovery::DiscoveryError;
use reqwest::header::{ACCEPT, HeaderName};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::de::DeserializeOwned;
use url::Url;

use super::OvhcloudConfig;
use crate::backend::{Answer, Backend};
use crate::build::{BuildError, BuildOptions};
use crate::token;

const APPLICATION: HeaderName = HeaderName::from_static("x-ovh-application");
const CONSUMER: HeaderName = HeaderName::from_static("x-ovh-consumer");
const SIGNATURE: HeaderName = HeaderName::from_static("x-ovh-signature");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-ovh-timestamp");

/// The APIs that have names.
const ENDPOINTS: [(&str, &str); 7] = [
    ("ovh-eu", "https://eu.api.ovh.com"),
    ("ovh-ca", "https://ca.api.ovh.com"),
    ("ovh-us", "https://api.us.ovhcloud.com"),
    ("kimsufi-eu", "https://eu.api.kimsufi.com"),
    ("kimsufi-ca", "https://ca.api.kimsufi.com"),
    ("soyoustart-eu", "https://eu.api.soyoustart.com"),
    ("soyoustart-ca", "https://ca.api.soyoustart.com"),
];

/// The address of an API, by its name or URL.
pub(super) fn endpoint(name: &str, options: &BuildOptions) -> Result<Url, BuildError> {
    if name.contains('/') {
        return Url::parse(name).map_err(BuildError::Url);
    }
    let Some((_, origin)) = ENDPOINTS.into_iter().find(|(known, _)| *known == name) else {
        let names: Vec<_> = ENDPOINTS.iter().map(|(known, _)| *known).collect();
        let names = names.join(", ");
        let message = format!("unknown endpoint {name:?}: it is a URL or one of {names}");
        return Err(BuildError::Missing(message));
    };
    let mut url = options.origin(origin)?;
    url.set_path("/1.0");
    Ok(url)
}

pub(super) struct OvhClient {
    backend: Backend,
    endpoint: Url,
    application_key: String,
    application_secret: Secret,
    consumer_key: Secret,
    /// How far their clock is ahead of ours, in seconds.
    ahead: i64,
}

impl OvhClient {
    pub(super) fn new(
        config: &OvhcloudConfig,
        endpoint: Url,
        options: &BuildOptions,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            backend: Backend::new(&token::unconfigured(), options, Duration::ZERO)?,
            endpoint,
            application_key: config.application_key.clone(),
            application_secret: config.application_secret.clone(),
            consumer_key: config.consumer_key.clone(),
            ahead: 0,
        })
    }

    /// Asks what time it is there: signatures are good for a short time.
    pub(super) async fn set_clock(&mut self) -> Result<(), DiscoveryError> {
        let call = self.backend.get(self.url("/auth/time")).header(ACCEPT, "application/json");
        let call = call.header(APPLICATION, &self.application_key);
        let answer = call.send().await?.success()?;
        let theirs: i64 = if answer.body.is_empty() { 0 } else { answer.json()? };
        self.ahead = theirs.saturating_sub(now());
        Ok(())
    }

    /// What is at a path.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, DiscoveryError> {
        self.answer(path).await?.json()
    }

    pub(super) async fn answer(&self, path: &str) -> Result<Answer, DiscoveryError> {
        let url = self.url(path);
        let time = now().saturating_add(self.ahead);
        let signature = self.signature("GET", &url, time);
        let call = self.backend.get(url).header(ACCEPT, "application/json");
        let call = call
            .credential(APPLICATION, &self.application_key)
            .credential(CONSUMER, self.consumer_key.expose())
            .credential(SIGNATURE, &signature)
            .header(TIMESTAMP, &time.to_string());
        call.send().await?.success()
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.endpoint.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url
    }

    /// `$1$` and the SHA-1 of everything that is sent and two secrets; there is no body.
    fn signature(&self, method: &str, url: &Url, time: i64) -> String {
        let (secret, consumer) = (self.application_secret.expose(), self.consumer_key.expose());
        let text = format!("{secret}+{consumer}+{method}+{url}++{time}");
        let mut signature = "$1$".to_owned();
        for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref() {
            let _ = write!(signature, "{byte:02x}"); // to a string: cannot fail
        }
        signature
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_backend::Recorder;
    use periskop_core::config;

    async fn client(recorder: &Recorder) -> OvhClient {
        let text = "{application_key: ak, application_secret: hunter2, consumer_key: hunter3, service: vps}";
        let config = config::decode(&config::parse(text).unwrap(), OvhcloudConfig::decode).unwrap();
        assert!(!format!("{config:?}").contains("hunter"));
        let origins = [("https://eu.api.ovh.com".to_owned(), recorder.url())].into();
        let options = BuildOptions { origins, ..BuildOptions::default() };
        OvhClient::new(&config, endpoint("ovh-eu", &options).unwrap(), &options).unwrap()
    }

    #[tokio::test]
    async fn the_clock_of_the_other_side_counts() {
        let recorder = Recorder::answering(200, "1700000000").await;
        let mut client = client(&recorder).await;
        client.set_clock().await.unwrap();
        assert!((now() + client.ahead - 1_700_000_000).abs() <= 1);
        client.answer("/vps").await.unwrap();
        assert_eq!(recorder.requests(), ["GET /1.0/auth/time ", "GET /1.0/vps "]);
    }

    #[tokio::test]
    async fn a_signature_is_the_digest_of_secrets_and_request() {
        let recorder = Recorder::answering(200, "").await;
        let client = client(&recorder).await;
        let url = Url::parse("https://eu.api.ovh.com/1.0/vps").unwrap();
        // printf %s 'hunter2+hunter3+GET+https://eu.api.ovh.com/1.0/vps++7' | sha1sum
        let wanted = "$1$e9d70577a97c03650844c67d6f73798c2bb33e3f";
        assert_eq!(client.signature("GET", &url, 7), wanted);
    }

    #[test]
    fn an_endpoint_without_a_slash_is_a_known_name() {
        let error = endpoint("ovh-mars", &BuildOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with("unknown endpoint \"ovh-mars\""), "{error}");
    }
}
