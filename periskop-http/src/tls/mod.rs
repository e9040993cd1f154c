//! TLS as configured, built anew when one of its files changes.

mod client;
mod material;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;

pub(crate) use self::client::name_of;
use self::material::Material;
use crate::config::TlsSettings;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why there is no TLS. Holds no part of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A setting, or what its file holds, cannot be used.
    #[error("{field}: {reason}")]
    Setting {
        /// Which one.
        field: &'static str,
        /// Why.
        reason: String,
    },
}

/// The TLS of a listener. Cheap to clone; clones are the same.
///
/// Certificates, keys and authorities in files are read again when they change (within two
/// seconds while [`serve`](crate::serve) runs). What cannot be used then leaves the old ones in force, and
/// is told by [`trouble`](Self::trouble) and once in the log. Sessions that began under other
/// files are not resumed.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    settings: RwLock<Arc<TlsSettings>>,
    http2: bool,
    current: RwLock<Current>,
    trouble: Mutex<Option<TlsError>>,
}

struct Current {
    material: Material,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files that the settings name. Blocks. `http2`: whether it is offered.
    ///
    /// # Errors
    ///
    /// They cannot be read or used.
    pub fn new(settings: &TlsSettings, http2: bool) -> Result<Self, TlsError> {
        let current = build(settings, http2)?;
        Ok(Self(Arc::new(Shared {
            settings: RwLock::new(Arc::new(settings.clone())),
            http2,
            current: RwLock::new(current),
            trouble: Mutex::default(),
        })))
    }

    /// Takes other settings over, for the handshakes to come. Blocks.
    ///
    /// # Errors
    ///
    /// They cannot be used: the old ones stay.
    pub fn replace(&self, settings: &TlsSettings) -> Result<(), TlsError> {
        let current = build(settings, self.0.http2)?;
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(settings.clone());
        self.put(current);
        Ok(())
    }

    /// Reads the files again and takes them over if they changed. Blocks.
    pub fn refresh(&self) {
        let settings = Arc::clone(&self.0.settings.read().unwrap_or_else(PoisonError::into_inner));
        let refreshed = Material::read(&settings).and_then(|material| {
            let is_same = {
                let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
                current.material == material
            };
            if is_same {
                return Ok(None);
            }
            let config = material.build(&settings, self.0.http2)?;
            Ok(Some(Current { material, config: Arc::new(config) }))
        });
        match refreshed {
            Ok(None) => self.note(None),
            Ok(Some(current)) => {
                tracing::info!("the files of TLS have changed and are taken over");
                self.put(current);
            }
            Err(error) => self.note(Some(error)),
        }
    }

    /// Why the files as they are now are not in force; `None` where they are.
    pub fn trouble(&self) -> Option<TlsError> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Whether a certificate that a client showed has been verified.
    pub(crate) fn verifies_clients(&self) -> bool {
        let settings = self.0.settings.read().unwrap_or_else(PoisonError::into_inner);
        settings.client_auth.verifies()
    }

    /// Refreshes for as long as it is polled.
    pub(crate) async fn watch(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let tls = self.clone();
            // It fails only while the runtime ends.
            let _ = tokio::task::spawn_blocking(move || tls.refresh()).await;
        }
    }

    fn put(&self, current: Current) {
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        self.note(None);
    }

    /// Once for each kind of trouble.
    fn note(&self, trouble: Option<TlsError>) {
        let mut noted = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *noted != trouble {
            match &trouble {
                Some(error) => tracing::error!(%error, "TLS goes on with the files as they were"),
                None => tracing::info!("the files of TLS are in force again"),
            }
            *noted = trouble;
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("trouble", &self.trouble()).finish_non_exhaustive()
    }
}

fn build(settings: &TlsSettings, http2: bool) -> Result<Current, TlsError> {
    let material = Material::read(settings)?;
    let config = Arc::new(material.build(settings, http2)?);
    Ok(Current { material, config })
}
