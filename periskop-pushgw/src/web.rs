//! Who may reach a gateway, and by which means.

use axum::http::{Method, Uri};
use periskop_http::{Access, Limits, Role, Tls, TlsError, WebConfig};

/// Credentials, certificates and limits of a gateway that serves. A clone is the same.
#[derive(Clone, Debug)]
pub struct Web {
    pub(crate) access: Access,
    pub(crate) tls: Option<Tls>,
    pub(crate) limits: Limits,
}

impl Web {
    /// As configured. Blocks for the files that it names.
    ///
    /// # Errors
    ///
    /// The certificates cannot be used.
    pub fn new(config: &WebConfig) -> Result<Self, TlsError> {
        let tls = config.tls.as_ref().map(|tls| Tls::new(tls, config.http2)).transpose()?;
        Ok(Self { access: Access::new(config), tls, limits: config.limits })
    }

    /// Plain HTTP, open to whoever reaches the address.
    pub fn open() -> Self {
        let config = WebConfig::default();
        Self { access: Access::new(&config), tls: None, limits: config.limits }
    }

    /// Takes over what does not need a restart: users, tokens, `anonymous`, certificates. Blocks
    /// for the files.
    ///
    /// # Errors
    ///
    /// The certificates cannot be used; the ones before stay.
    pub fn replace(&self, config: &WebConfig) -> Result<(), TlsError> {
        self.access.replace(config);
        match (&self.tls, &config.tls) {
            (Some(tls), Some(settings)) => tls.replace(settings),
            _ => Ok(()),
        }
    }
}

/// Looking needs [`Role::Read`], pushing [`Role::Push`]; there is nothing else to do, and what
/// somebody adds is the admin's.
pub(crate) fn need(method: &Method, uri: &Uri) -> Role {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Role::Read,
        Method::POST if matches!(uri.path(), "/errors" | "/errors/") => Role::Push,
        _ => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_and_pushing_are_told_apart_and_everything_else_is_the_admins() {
        for (method, path, role) in [
            ("GET", "/-/errors", Role::Read),
            ("HEAD", "/nowhere", Role::Read),
            ("POST", "/errors", Role::Push),
            ("POST", "/errors/", Role::Push),
            ("POST", "/-/errors", Role::Admin),
            ("POST", "//errors", Role::Admin),
            ("DELETE", "/errors", Role::Admin),
            ("BREW", "/errors", Role::Admin),
        ] {
            let method_named = Method::from_bytes(method.as_bytes()).expect("a method");
            let uri = path.parse().expect("a path");
            assert_eq!(need(&method_named, &uri), role, "{method} {path}");
        }
    }
}
