//! Roles: one set of credentials becomes another one at the Security Token Service.

use std::path::Path;

use periskop_core::Timestamp;
use periskop_core::discovery::DiscoveryError;

use super::client::STS;
use super::credentials::{Credentials, missing};
use super::metadata::read_token;
use super::session::{Session, now};
use crate::xml::Element;

const VERSION: &str = "2011-06-15";
/// As long as the SDK of AWS asks for.
const LIFETIME_SECONDS: &str = "900";

/// A role, and what it wants to be told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    /// Its name.
    pub(crate) arn: String,
    /// What the owner of the role has agreed on; `""` for nothing.
    pub(crate) external_id: String,
    /// How the session is called; `""`: by a name of ours.
    pub(crate) session_name: String,
}

impl Role {
    fn parameters(&self, now: Timestamp) -> Vec<(&str, String)> {
        let name = match self.session_name.as_str() {
            "" => format!("periskop-{}", now.as_secs()),
            given => given.to_owned(),
        };
        vec![("RoleArn", self.arn.clone()), ("RoleSessionName", name)]
    }
}

impl Session {
    /// The role's credentials, for who has other ones.
    pub(crate) async fn assume_role(
        &self,
        role: &Role,
        base: &Credentials,
    ) -> Result<Credentials, DiscoveryError> {
        let mut parameters = role.parameters(now());
        parameters.push(("DurationSeconds", LIFETIME_SECONDS.into()));
        if !role.external_id.is_empty() {
            parameters.push(("ExternalId", role.external_id.clone()));
        }
        self.ask_sts("AssumeRole", &parameters, Some(base)).await
    }

    /// The role's credentials, for who has a token of somebody whom the role trusts.
    pub(crate) async fn assume_role_by_token(
        &self,
        role: &Role,
        file: &str,
    ) -> Result<Credentials, DiscoveryError> {
        if role.arn.is_empty() {
            return Err(missing(file, "a token of a web identity needs AWS_ROLE_ARN"));
        }
        let mut parameters = role.parameters(now());
        parameters.push(("WebIdentityToken", read_token(Path::new(file)).await?));
        self.ask_sts("AssumeRoleWithWebIdentity", &parameters, None).await
    }

    async fn ask_sts(
        &self,
        action: &str,
        parameters: &[(&str, String)],
        credentials: Option<&Credentials>,
    ) -> Result<Credentials, DiscoveryError> {
        let client = self.regional(STS);
        let what = format!("could not get credentials by {action}");
        let document = client.query_as(&what, action, VERSION, parameters, credentials).await?;
        let result = format!("{action}Result");
        let told = document.root().at(&[&result, "Credentials"]);
        told.and_then(read).ok_or_else(|| missing("the Security Token Service", "no credentials"))
    }
}

fn read(told: &Element) -> Option<Credentials> {
    let text = |name: &str| told.at(&[name]).map(|element| element.text().trim().to_owned());
    let credentials = Credentials::from_texts(
        text("AccessKeyId"),
        text("SecretAccessKey"),
        text("SessionToken"),
    )?;
    let expires = Timestamp::parse(&text("Expiration").unwrap_or_default());
    Some(Credentials { expires, ..credentials })
}
