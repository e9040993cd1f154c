//! A configuration as people may see it: with every secret hidden.

use periskop_core::config::{Node, Secret, Value};

/// Keys whose value is a secret wherever they stand: those of Prometheus's HTTP client settings
/// and of its discovery mechanisms, of the repository and of the web configuration. Unknown keys
/// are refused before, so this list is whole.
const SECRET: [&str; 18] = [
    "application_credential_secret",
    "basic_auth_users",
    "bearer_token",
    "client_certificate_key",
    "client_secret",
    "credentials",
    "dsn",
    "endpoint_params",
    "key",
    "key_passphrase",
    "password",
    "proxy_connect_header",
    "secret",
    "secret_key",
    "secret_token",
    "secrets",
    "token",
    "token_sha256",
];

/// The same tree with `<secret>` for each secret, and without passwords in URLs.
pub(super) fn hidden(mut node: Node) -> Node {
    hide(&mut node);
    node
}

/// As deep as the reader lets a file be, which is bounded.
fn hide(node: &mut Node) {
    match &mut node.value {
        Value::Mapping(entries) => {
            for entry in entries {
                match SECRET.contains(&entry.key.text()) {
                    true => hide_all(&mut entry.value),
                    false => hide(&mut entry.value),
                }
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(hide),
        Value::Scalar(scalar) => {
            if let Some(bare) = without_userinfo(scalar.text()) {
                *node = bare.into();
            }
        }
        Value::Null => {}
    }
}

/// Keeps the names of what stands below a secret key (header names, for instance).
fn hide_all(node: &mut Node) {
    match &mut node.value {
        Value::Mapping(entries) => entries.iter_mut().for_each(|e| hide_all(&mut e.value)),
        Value::Sequence(items) => items.iter_mut().for_each(hide_all),
        Value::Scalar(scalar) if scalar.text().is_empty() => {}
        Value::Scalar(_) => *node = Secret::HIDDEN.into(),
        Value::Null => {}
    }
}

fn without_userinfo(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let (userinfo, _) = authority.rsplit_once('@')?;
    Some(format!("{scheme}://{}{}", Secret::HIDDEN, &rest[userinfo.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use periskop_core::config::parse;

    #[test]
    fn secrets_are_hidden_wherever_they_stand_and_nothing_else_is() {
        let text = "\
services:
- name: api
  scraper:
    basic_auth:
      username: me
      password: hunter2
    http_headers:
      X-Tenant:
        values:
        - blue
        secrets:
        - hunter2
    proxy_url: http://me:hunter2@proxy:3128/?a=b
  http_sd_configs:
  - url: https://sd.example/targets
    authorization:
      credentials: hunter2
      credentials_file: ''
repository:
  dsn: user:hunter2@tcp(db)/x
  dsn_file: secrets/dsn
web:
  tls_server_config:
    cert_file: server.crt
    key: hunter2
  basic_auth_users:
    ada: hunter2
  tokens:
  - name: robot
    token: hunter2
  - name: other
    token_sha256: hunter2
";
        let shown = hidden(parse(text).unwrap()).to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        for kept in [
            "username: me",
            "- blue",
            "X-Tenant",
            "proxy:3128/?a=b",
            "sd.example/targets",
            "dsn: <secret>",
            "dsn_file: secrets/dsn",
            "cert_file: server.crt",
            "ada: <secret>",
            "name: robot",
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }
}
