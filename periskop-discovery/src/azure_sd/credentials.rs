//! Who we are to Azure: tokens of Microsoft Entra ID, by what the settings choose.

use std::path::Path;

use periskop_core::config::Secret;
use periskop_core::discovery::DiscoveryError;
use reqwest::header::HeaderName;
use tokio::time::Instant;
use url::Url;

use super::{Authentication, AzureConfig, Cloud};
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::environment::Environment;
use crate::http_client::read_text;
use crate::metadata::{LINK_LOCAL, MetadataServer};
use crate::token::{self, ANSWER_LIMIT, Token, Tokens};

const JWT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const METADATA: HeaderName = HeaderName::from_static("metadata");
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");
const METADATA_TOKEN: &str = "/metadata/identity/oauth2/token";
/// The versions that Microsoft's client asks for.
const METADATA_VERSION: &str = "2018-02-01";
const APP_SERVICE_VERSION: &str = "2019-08-01";

pub(super) struct Credentials {
    who: Who,
    authority: Url,
    cloud: &'static Cloud,
    backend: Backend,
    tokens: Tokens,
}

/// How a token is to be had.
enum Who {
    /// An application with a secret.
    Secret { tenant: String, client: String, secret: Secret },
    /// A workload of a Kubernetes cluster, whose token is in a file.
    Workload { tenant: String, client: String, file: String },
    /// The identity that Azure gives a machine; `client`: which one, `""`: its only one.
    Machine { client: String, server: MetadataServer },
    /// The same within App Service, Functions and Container Apps.
    AppService { client: String, endpoint: Url, header: Secret },
}

impl Credentials {
    pub(super) fn new(
        config: &AzureConfig,
        cloud: &'static Cloud,
        options: &BuildOptions,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            who: who(config, options)?,
            authority: options.origin(cloud.authority)?,
            cloud,
            backend: token::backend(options)?,
            tokens: Tokens::default(),
        })
    }

    /// A token for the resource manager.
    pub(super) async fn token(&self) -> Result<Secret, DiscoveryError> {
        self.tokens.current(self.fetch()).await
    }

    /// Forgets the token, which was refused.
    pub(super) async fn forget(&self) {
        self.tokens.forget().await;
    }

    async fn fetch(&self) -> Result<Token, DiscoveryError> {
        let asked = Instant::now();
        let resource = self.cloud.audience;
        match &self.who {
            Who::Secret { tenant, client, secret } => {
                let secret = ("client_secret", secret.expose());
                self.ask(tenant, client, &[secret]).await
            }
            Who::Workload { tenant, client, file } => {
                // Read each time: the cluster replaces it every hour or so.
                let assertion = read_text(Path::new(file)).await.map_err(|error| {
                    let endpoint = "Azure workload identity".to_owned();
                    DiscoveryError::Unreachable { endpoint, reason: error.to_string() }
                })?;
                let kind = ("client_assertion_type", JWT_ASSERTION);
                self.ask(tenant, client, &[kind, ("client_assertion", assertion.expose())]).await
            }
            Who::Machine { client, server } => {
                let mut query = vec![("api-version", METADATA_VERSION), ("resource", resource)];
                if !client.is_empty() {
                    query.push(("client_id", client));
                }
                let call = server.get(METADATA_TOKEN, &query).limit(ANSWER_LIMIT);
                Token::read(&call.send().await?, asked, &[])
            }
            Who::AppService { client, endpoint, header } => {
                let mut url = endpoint.clone();
                url.query_pairs_mut()
                    .append_pair("api-version", APP_SERVICE_VERSION)
                    .append_pair("resource", resource);
                if !client.is_empty() {
                    url.query_pairs_mut().append_pair("client_id", client);
                }
                let call = self.backend.get(url).credential(IDENTITY_HEADER, header.expose());
                Token::read(
                    &call.limit(ANSWER_LIMIT).send().await?,
                    asked,
                    std::slice::from_ref(header),
                )
            }
        }
    }

    /// The client credentials grant, RFC 6749, section 4.4.
    async fn ask(
        &self,
        tenant: &str,
        client: &str,
        proof: &[(&str, &str)],
    ) -> Result<Token, DiscoveryError> {
        let mut url = self.authority.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend([tenant, "oauth2", "v2.0", "token"]);
        }
        let scope = format!("{}/.default", self.cloud.audience);
        let mut form =
            vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", &scope)];
        form.extend(proof);
        token::ask(&self.backend, url, &form).await
    }
}

fn who(config: &AzureConfig, options: &BuildOptions) -> Result<Who, BuildError> {
    let environment = &options.environment;
    match config.authentication {
        Authentication::OAuth => Ok(Who::Secret {
            tenant: config.tenant_id.clone(),
            client: config.client_id.clone(),
            secret: config.client_secret.clone(),
        }),
        Authentication::ManagedIdentity => machine(&config.client_id, options),
        Authentication::WorkloadIdentity => workload(environment, ""),
        Authentication::Sdk => {
            let variable = |name| environment.get(name);
            if let (Some(tenant), Some(client), Some(secret)) = (
                variable("AZURE_TENANT_ID"),
                variable("AZURE_CLIENT_ID"),
                variable("AZURE_CLIENT_SECRET"),
            ) {
                return Ok(Who::Secret { tenant, client, secret: Secret::new(secret) });
            }
            if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() {
                return workload(environment, &config.tenant_id);
            }
            machine(&variable("AZURE_CLIENT_ID").unwrap_or_default(), options)
        }
    }
}

/// What the webhook of Azure's workload identity puts into a container.
fn workload(environment: &Environment, tenant: &str) -> Result<Who, BuildError> {
    let variable = |name: &str| {
        let missing = || BuildError::Missing(format!("workload identity needs {name} to be set"));
        environment.get(name).ok_or_else(missing)
    };
    let tenant = if tenant.is_empty() { variable("AZURE_TENANT_ID")? } else { tenant.to_owned() };
    let client = variable("AZURE_CLIENT_ID")?;
    Ok(Who::Workload { tenant, client, file: variable("AZURE_FEDERATED_TOKEN_FILE")? })
}

fn machine(client: &str, options: &BuildOptions) -> Result<Who, BuildError> {
    let client = client.to_owned();
    let variable = |name| options.environment.get(name);
    if let (Some(endpoint), Some(header)) =
        (variable("IDENTITY_ENDPOINT"), variable("IDENTITY_HEADER"))
    {
        let endpoint = Url::parse(&endpoint)
            .map_err(|e| BuildError::Missing(format!("IDENTITY_ENDPOINT is no URL: {e}")))?;
        return Ok(Who::AppService { client, endpoint, header: Secret::new(header) });
    }
    let origin = options.origin(LINK_LOCAL)?;
    Ok(Who::Machine { client, server: MetadataServer::new(options, origin, (METADATA, "true"))? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure_sd::cloud;
    use crate::testing_backend::Recorder;
    use periskop_core::config;

    /// A method, the environment, and what is asked.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], String);

    fn config(method: &str) -> AzureConfig {
        let text = format!(
            "{{subscription_id: s, tenant_id: t, client_id: c, client_secret: hunter2, \
             authentication_method: {method}}}"
        );
        config::decode(&config::parse(&text).unwrap(), AzureConfig::decode).unwrap()
    }

    async fn token(
        method: &str,
        recorder: &Recorder,
        environment: &[(&str, &str)],
    ) -> Result<String, String> {
        let cloud = cloud("AzurePublicCloud").unwrap();
        let options = BuildOptions {
            environment: Environment::fixed(environment.iter().copied()),
            origins: [cloud.authority, LINK_LOCAL]
                .map(|origin| (origin.to_owned(), recorder.url()))
                .into(),
            ..BuildOptions::default()
        };
        let credentials =
            Credentials::new(&config(method), cloud, &options).map_err(|e| e.to_string())?;
        let token = credentials.token().await.map_err(|e| e.to_string())?;
        Ok(token.expose().to_owned())
    }

    #[tokio::test]
    async fn each_method_asks_the_endpoint_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "federated\n").unwrap();
        let workload = [
            ("AZURE_TENANT_ID", "wt"),
            ("AZURE_CLIENT_ID", "wc"),
            ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ];
        let resource = "resource=https%3A%2F%2Fmanagement.core.windows.net%2F";
        let scope = "scope=https%3A%2F%2Fmanagement.core.windows.net%2F%2F.default";
        let federated = format!(
            "POST /wt/oauth2/v2.0/token grant_type=client_credentials&client_id=wc&{scope}&\
             client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion=federated"
        );
        let machine = |client: &str| {
            format!(
                "GET /metadata/identity/oauth2/token?api-version=2018-02-01&{resource}{client} "
            )
        };
        let cases: [Case<'_>; 6] = [
            (
                "OAuth",
                &[],
                format!(
                    "POST /t/oauth2/v2.0/token grant_type=client_credentials&client_id=c&{scope}\
                 &client_secret=hunter2"
                ),
            ),
            ("ManagedIdentity", &[], machine("&client_id=c")),
            ("WorkloadIdentity", &workload, federated.clone()),
            ("SDK", &workload, federated.replace("/wt/", "/t/")),
            ("SDK", &[], machine("")),
            (
                "SDK",
                &[
                    ("AZURE_TENANT_ID", "et"),
                    ("AZURE_CLIENT_ID", "ec"),
                    ("AZURE_CLIENT_SECRET", "es"),
                ],
                format!(
                    "POST /et/oauth2/v2.0/token grant_type=client_credentials&client_id=ec&{scope}\
                 &client_secret=es"
                ),
            ),
        ];
        for (method, environment, wanted) in cases {
            let recorder =
                Recorder::answering(200, r#"{"access_token":"t1","expires_in":"60"}"#).await;
            assert_eq!(token(method, &recorder, environment).await, Ok("t1".into()), "{method}");
            assert_eq!(recorder.requests(), [wanted]);
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_without_the_secret() {
        let body =
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: 'hunter2' is wrong"}"#;
        let recorder = Recorder::answering(401, body).await;
        let error = token("OAuth", &recorder, &[]).await.unwrap_err();
        assert!(error.contains("401 Unauthorized: invalid_client: AADSTS7000215"), "{error}");
        assert!(!error.contains("hunter2") && !format!("{:?}", config("SDK")).contains("hunter2"));
    }

    #[tokio::test]
    async fn what_a_workload_needs_is_named_where_it_is_not_set() {
        let recorder = Recorder::answering(200, "{}").await;
        let error = token("WorkloadIdentity", &recorder, &[("AZURE_TENANT_ID", "t")]).await;
        assert_eq!(error, Err("workload identity needs AZURE_CLIENT_ID to be set".into()));
    }
}
