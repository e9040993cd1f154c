//! Profiles: the files that the command line tool of AWS keeps in `~/.aws`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use periskop_core::discovery::DiscoveryError;

use super::credentials::{Credentials, missing};
use crate::environment::Environment;

/// More than anybody has of profiles.
const FILE_LIMIT: u64 = 4 << 20;

/// All profiles of both files. Holds secrets, so it has no `Debug`.
#[derive(Default)]
pub(crate) struct Profiles(BTreeMap<String, Profile>);

/// The settings of one profile.
#[derive(Clone, Default)]
pub(crate) struct Profile(BTreeMap<String, String>);

impl Profiles {
    /// Reads both files anew. One that is not there has no profiles.
    pub(crate) async fn read(environment: &Environment) -> Result<Self, DiscoveryError> {
        let mut profiles = Self::default();
        let home = environment.get("HOME").or_else(|| environment.get("USERPROFILE"));
        // Keys of the credentials file win over those of the other one.
        for (variable, name, prefixed) in [
            ("AWS_CONFIG_FILE", "config", true),
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials", false),
        ] {
            let named = environment.get(variable).map(PathBuf::from);
            let usual = || home.as_ref().map(|home| Path::new(home).join(".aws").join(name));
            let Some(path) = named.or_else(usual) else { continue };
            if let Some(text) = read(&path).await? {
                profiles.add(&text, prefixed);
            }
        }
        Ok(profiles)
    }

    /// A profile of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// The name of a profile, if there is one of this name.
    pub(crate) fn name_of(&self, name: &str) -> Option<&str> {
        self.0.get_key_value(name).map(|(name, _)| name.as_str())
    }

    /// Adds what a file says. In the config file the sections are called `profile NAME`.
    fn add(&mut self, text: &str, prefixed: bool) {
        let mut current = None;
        for line in text.lines() {
            let begins_indented = line.starts_with([' ', '\t']);
            let line = without_comment(line).trim();
            if let Some(section) = line.strip_prefix('[') {
                let section = section.split(']').next().unwrap_or_default().trim();
                let name = match section.strip_prefix("profile") {
                    Some(name) if prefixed && name.starts_with([' ', '\t']) => Some(name.trim()),
                    _ if prefixed && section != "default" => None,
                    _ => Some(section),
                };
                current = name.map(|name| name.trim_matches('"').to_owned());
            } else if let (Some(name), Some((key, value))) = (&current, line.split_once('='))
                && !begins_indented
            {
                let profile = self.0.entry(name.clone()).or_default();
                profile.0.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
    }
}

impl Profile {
    /// A setting that is there and not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Keys that stand in it.
    pub(crate) fn keys(&self) -> Option<Credentials> {
        let text = |key| self.get(key).map(str::to_owned);
        let session_token = text("aws_session_token");
        Credentials::from_texts(
            text("aws_access_key_id"),
            text("aws_secret_access_key"),
            session_token,
        )
    }

    /// What it wants that we do not do, by the name of the setting.
    pub(crate) fn unsupported(&self) -> Option<&str> {
        let names = ["sso_session", "sso_account_id", "sso_start_url", "credential_process"];
        names.into_iter().find(|name| self.get(name).is_some())
    }
}

/// Comments are lines of their own, or stand behind a value and white space.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    [" #", " ;", "\t#", "\t;"]
        .iter()
        .fold(line, |line, mark| line.split_once(mark).map_or(line, |(before, _)| before))
}

async fn read(path: &Path) -> Result<Option<String>, DiscoveryError> {
    let failed = |reason: String| missing(&path.display().to_string(), reason);
    match tokio::fs::metadata(path).await {
        Ok(metadata) if metadata.len() > FILE_LIMIT => {
            Err(failed(format!("larger than {FILE_LIMIT} bytes")))
        }
        Ok(_) => {
            let text = tokio::fs::read_to_string(path).await.map_err(|e| failed(e.to_string()))?;
            Ok(Some(text))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_both_files_are_one_and_keys_of_the_credentials_file_win() {
        let mut profiles = Profiles::default();
        profiles.add(
            "[default]\nregion = eu-west-1 ; home\n[profile ops]\n# a comment\nregion=us-east-2\n\
             aws_access_key_id = OLD\ns3 =\n  max = 1\n[services x]\nregion = no\n[other]\na=b\n",
            true,
        );
        profiles.add(
            "[ops]\naws_access_key_id = AK\naws_secret_access_key = s#e=c\n\
             [broken\nno value\n=\n",
            false,
        );
        assert_eq!(profiles.get("default").unwrap().get("region"), Some("eu-west-1"));
        let ops = profiles.get("ops").unwrap();
        assert_eq!(ops.get("region"), Some("us-east-2"));
        let keys = ops.keys().unwrap();
        assert_eq!((keys.access_key.as_str(), keys.secret_key.expose()), ("AK", "s#e=c"));
        assert_eq!(ops.get("max"), None);
        assert!(profiles.get("other").is_none() && profiles.get("x").is_none());
    }
}
