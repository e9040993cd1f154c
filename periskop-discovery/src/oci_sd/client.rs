//! Oracle Cloud's APIs, asked by signed requests.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use periskop_core::discovery::DiscoveryError;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, DATE};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use url::Url;

use super::credentials::{Credentials, Signer};
use super::{Auth, OciConfig};
use crate::api::PAGES_LIMIT;
use crate::backend::{Answer, Backend, shown};
use crate::build::{BuildError, BuildOptions};
use crate::rsa_key::{Digest, KeyError};

/// Of both APIs.
const VERSION: &str = "20160918";
/// Prometheus's limit, below what Identity allows: so many requests at once, then one each.
const BURST: u32 = 50;
const EACH: Duration = Duration::from_millis(100);

/// Oracle's realms that have a domain of their own, by the regions in them. Source: the region
/// list of Oracle's client.
const REALMS: [(&str, &[&str]); 20] = [
    ("oraclegovcloud.com", &["us-langley-1", "us-luke-1"]),
    ("oraclegovcloud.com", &["us-gov-ashburn-1", "us-gov-chicago-1", "us-gov-phoenix-1"]),
    ("oraclegovcloud.uk", &["uk-gov-london-1", "uk-gov-cardiff-1"]),
    ("oraclecloud8.com", &["ap-chiyoda-1", "ap-ibaraki-1"]),
    ("oraclecloud9.com", &["me-dcc-muscat-1", "me-ibri-1"]),
    ("oraclecloud10.com", &["ap-dcc-canberra-1"]),
    ("oraclecloud14.com", &["eu-dcc-milan-1", "eu-dcc-milan-2", "eu-dcc-dublin-1"]),
    ("oraclecloud14.com", &["eu-dcc-dublin-2", "eu-dcc-rating-1", "eu-dcc-rating-2"]),
    ("oraclecloud15.com", &["ap-dcc-gazipur-1"]),
    ("oraclecloud.eu", &["eu-madrid-2", "eu-frankfurt-2"]),
    ("oraclecloud20.com", &["eu-jovanovac-1"]),
    ("oraclecloud21.com", &["me-dcc-doha-1", "me-alrayyan-1"]),
    ("oraclecloud23.com", &["us-somerset-1", "us-thames-1"]),
    ("oraclecloud24.com", &["eu-dcc-zurich-1", "eu-crissier-1"]),
    ("oraclecloud26.com", &["me-abudhabi-3", "me-alain-1"]),
    ("oraclecloud29.com", &["me-abudhabi-2", "me-abudhabi-4"]),
    ("oraclecloud35.com", &["ap-seoul-2", "ap-suwon-1", "ap-chuncheon-2"]),
    ("oraclecloud42.com", &["us-ashburn-2", "us-newark-1"]),
    ("oraclecloud51.com", &["eu-budapest-1"]),
    ("oraclecloud52.com", &["sa-riodejaneiro-1"]),
];

/// The domain of a region; of one that nobody knows it is the commercial one.
fn domain(region: &str) -> &'static str {
    let realm = REALMS.iter().find(|(_, regions)| regions.contains(&region));
    realm.map_or("oraclecloud.com", |(domain, _)| domain)
}

/// An API.
#[derive(Clone, Copy, Debug)]
pub(super) enum Service {
    Core,
    Identity,
}

pub(super) struct OciClient {
    backend: Backend,
    core: Url,
    identity: Url,
    credentials: Credentials,
    /// Of this refresh.
    signer: Option<Signer>,
    pace: Pace,
}

impl OciClient {
    pub(super) fn new(config: &OciConfig, options: &BuildOptions) -> Result<Self, BuildError> {
        let (region, domain) = (&config.region, domain(&config.region));
        let credentials = match &config.auth {
            Auth::ApiKey(key) => Credentials::api_key(key),
            Auth::InstancePrincipal => Credentials::instance(&config.api.http, options)?,
        };
        Ok(Self {
            backend: Backend::new(&config.api.http, options, Duration::ZERO)?,
            core: options.origin(&format!("https://iaas.{region}.{domain}"))?,
            identity: options.origin(&format!("https://identity.{region}.{domain}"))?,
            credentials,
            signer: None,
            pace: Pace::default(),
        })
    }

    /// Reads the key again, or renews what stands for it.
    pub(super) async fn renew(&mut self) -> Result<(), DiscoveryError> {
        self.signer = Some(self.credentials.signer().await?);
        Ok(())
    }

    /// The OCID of the tenancy, `""` before it is known.
    pub(super) fn tenancy(&self) -> &str {
        self.signer.as_ref().map_or("", |signer| &signer.tenancy)
    }

    /// All items of a list, from all of its pages.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        service: Service,
        kind: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, DiscoveryError> {
        let mut first = self.url(service, &[kind]);
        first.query_pairs_mut().extend_pairs(query);
        let (mut url, mut all) = (first.clone(), Vec::new());
        for _ in 0..PAGES_LIMIT {
            let answer = self.ask(&url).await?;
            let items: Vec<T> = answer.json()?;
            all.extend(items);
            let page = answer.header("opc-next-page");
            if page.is_empty() {
                return Ok(all);
            }
            let mut next = first.clone();
            next.query_pairs_mut().append_pair("page", page);
            if next == url {
                return Err(answer.invalid("the next page is the same page"));
            }
            url = next;
        }
        let reason = format!("more than {PAGES_LIMIT} pages");
        Err(DiscoveryError::Invalid { endpoint: shown(&first), reason })
    }

    /// One thing.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        service: Service,
        path: &[&str],
    ) -> Result<T, DiscoveryError> {
        self.ask(&self.url(service, path)).await?.json()
    }

    async fn ask(&self, url: &Url) -> Result<Answer, DiscoveryError> {
        self.pace.wait().await;
        let unusable = |reason: String| {
            let endpoint = "Oracle Cloud credentials".to_owned();
            DiscoveryError::Unreachable { endpoint, reason }
        };
        let signer = self.signer.as_ref().ok_or_else(|| unusable("none yet".into()))?;
        let date = httpdate::fmt_http_date(SystemTime::now());
        let signature =
            signer.sign("GET", url, &date, &[]).map_err(|error| unusable(error.to_string()))?;
        let call = self.backend.get(url.clone()).header(DATE, &date);
        let answer = call.credential(AUTHORIZATION, &signature).send().await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.credentials.forget().await;
        }
        answer.success()
    }

    fn url(&self, service: Service, path: &[&str]) -> Url {
        let mut url = match service {
            Service::Core => self.core.clone(),
            Service::Identity => self.identity.clone(),
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push(VERSION).extend(path);
        }
        url
    }
}

impl Signer {
    /// The value of `Authorization`, by draft-cavage-http-signatures as Oracle has it. `more` are
    /// headers that are signed after the usual ones; with a body Oracle's own endpoint for
    /// certificates leaves the host out.
    pub(super) fn sign(
        &self,
        method: &str,
        url: &Url,
        date: &str,
        more: &[(&str, &str)],
    ) -> Result<String, KeyError> {
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let target = format!("{} {target}", method.to_lowercase());
        let mut parts = vec![("date", date), ("(request-target)", &target)];
        if more.is_empty() {
            parts.push(("host", &host));
        }
        parts.extend(more);
        let lines: Vec<_> = parts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let names: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
        let signature = self.key.sign(Digest::Sha256, lines.join("\n").as_bytes())?;
        Ok(format!(
            "Signature version=\"1\",headers=\"{}\",keyId=\"{}\",algorithm=\"rsa-sha256\",\
             signature=\"{}\"",
            names.join(" "),
            self.key_id.expose(),
            STANDARD.encode(signature)
        ))
    }
}

/// Holds requests back: [`BURST`] at once, then one [`EACH`].
#[derive(Default)]
struct Pace(Mutex<Option<Instant>>);

impl Pace {
    async fn wait(&self) {
        let now = Instant::now();
        let until = {
            let mut next = self.0.lock().await;
            // When the last request would have been due had none been sent at once.
            let due = next.map_or(now, |next| next.max(now)) + EACH;
            *next = Some(due);
            due.checked_sub(EACH * BURST)
        };
        if let Some(until) = until.filter(|until| *until > now) {
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa_key::RsaKey;
    use crate::rsa_key::tests::PEM;
    use periskop_core::config::Secret;

    #[test]
    fn a_request_is_signed_as_oracle_has_it() {
        let key = RsaKey::from_pem(PEM.as_bytes()).unwrap();
        let key_id = Secret::new("t/u/aa:bb");
        let signer = Signer { tenancy: "t".into(), key_id, key: key.into() };
        let url = Url::parse("https://iaas.r.example/20160918/instances?limit=1").unwrap();
        let header = signer.sign("GET", &url, "D", &[]).unwrap();
        let start = "Signature version=\"1\",headers=\"date (request-target) host\",\
                     keyId=\"t/u/aa:bb\",algorithm=\"rsa-sha256\",signature=\"";
        let text =
            "date: D\n(request-target): get /20160918/instances?limit=1\nhost: iaas.r.example";
        let wanted = STANDARD.encode(signer.key.sign(Digest::Sha256, text.as_bytes()).unwrap());
        assert_eq!(header, format!("{start}{wanted}\""));
    }

    #[test]
    fn a_region_has_the_domain_of_its_realm() {
        assert_eq!(domain("eu-frankfurt-1"), "oraclecloud.com");
        assert_eq!(domain("eu-frankfurt-2"), "oraclecloud.eu");
        assert_eq!(domain("xx-new-1"), "oraclecloud.com");
    }

    #[tokio::test(start_paused = true)]
    async fn after_fifty_requests_at_once_ten_a_second_are_sent() {
        let pace = Pace::default();
        let start = Instant::now();
        for _ in 0..50 {
            pace.wait().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            pace.wait().await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}
