//! The credentials of one configuration, ready to be compared.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use periskop_core::config::Secret;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::Principal;
use crate::config::{RateLimit, TokenSecret, WebConfig, read_token};
use crate::role::Roles;

/// How often files of tokens are looked at while somebody shows one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the [module](self).
pub(super) struct Rules {
    pub(super) users: Vec<User>,
    pub(super) tokens: Vec<Token>,
    pub(super) anonymous: Roles,
    pub(super) is_open: bool,
    /// Whether there is no credential that could be right.
    pub(super) has_none: bool,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) in_words: String,
    looked: Arc<tokio::sync::Mutex<Option<Instant>>>,
}

pub(super) struct User {
    name: String,
    hash: Secret,
    principal: Principal,
}

pub(super) struct Token {
    principal: Principal,
    /// Of the token. `None` while its file cannot be read.
    digest: Mutex<Option<[u8; 32]>>,
    file: Option<PathBuf>,
}

impl Rules {
    /// Blocks for the files. A token that cannot be read now stays as it was in `before`.
    pub(super) fn new(web: &WebConfig, before: Option<&Self>) -> Self {
        let credentials = &web.credentials;
        let users = credentials.users.iter().map(|(name, user)| User {
            name: name.clone(),
            hash: user.hash.clone(),
            principal: Principal::new(name, user.roles),
        });
        let tokens = credentials.tokens.iter().map(|token| {
            let (digest, file) = match &token.secret {
                TokenSecret::Inline(token) => (Some(digest_of(token)), None),
                TokenSecret::Sha256(digest) => (Some(*digest), None),
                TokenSecret::File(path) => {
                    let known = before.into_iter().flat_map(|rules| &rules.tokens);
                    let mut known = known.filter(|known| known.file.as_ref() == Some(path));
                    (known.next().and_then(Token::digest), Some(path.clone()))
                }
            };
            let principal = Principal::new(&token.name, token.roles);
            let token = Token { principal, digest: Mutex::new(digest), file };
            token.read();
            token
        });
        Self {
            users: users.collect(),
            tokens: tokens.collect(),
            anonymous: credentials.anonymous.roles(),
            is_open: credentials.is_open(),
            has_none: credentials.is_open() || credentials.is_empty(),
            headers: web.headers.clone(),
            rate_limit: web.rate_limit,
            in_words: web.in_words(),
            looked: Arc::default(),
        }
    }

    /// Reads the files of tokens again, unless that was done a moment ago; answers whether one has
    /// changed.
    pub(super) async fn refresh(self: &Arc<Self>, now: Instant) -> bool {
        if self.tokens.iter().all(|token| token.file.is_none()) {
            return false;
        }
        // Who finds it taken goes on with what is known; it is a second old at most.
        let Ok(mut looked) = Arc::clone(&self.looked).try_lock_owned() else { return false };
        if looked.is_some_and(|at| now.duration_since(at) < LOOK_EVERY) {
            return false;
        }
        *looked = Some(now);
        let rules = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            // All of them, also after one that has changed.
            rules.tokens.iter().filter(|token| token.read()).count() > 0
        });
        // It fails only while the runtime ends.
        read.await.unwrap_or(false)
    }

    /// Whose token it is. Looks at all of them, whichever fits.
    pub(super) fn holder_of(&self, token: &Secret) -> Option<Principal> {
        let shown = digest_of(token);
        let mut found = 0_u32;
        for (n, token) in (1_u32..).zip(&self.tokens) {
            let digest = token.digest();
            let fits =
                digest.unwrap_or_default().ct_eq(&shown) & Choice::from(u8::from(digest.is_some()));
            found = u32::conditional_select(&found, &n, fits);
        }
        let n = usize::try_from(found).ok()?.checked_sub(1)?;
        self.tokens.get(n).map(|token| token.principal.clone())
    }

    /// Whose password it is. Takes as long for a name that is not known. Blocks for as long as
    /// bcrypt takes.
    pub(super) fn verify(
        &self,
        key: &[u8; 32],
        user: &Secret,
        password: &Secret,
    ) -> Option<Principal> {
        let name = user.expose();
        let known = self.users.iter().find(|user| user.name == name);
        // Costs may differ: a name that is not known has always that of the same one that is.
        let stand_in = || {
            let digest: [u8; 32] =
                Sha256::new_with_prefix(key).chain_update(name).finalize().into();
            let n = digest.iter().fold(0, |n, byte| n * 31 + usize::from(*byte) % 31);
            self.users.get(n % self.users.len().max(1))
        };
        let compared = known.or_else(stand_in)?;
        let fits = bcrypt::verify(password.expose(), compared.hash.expose()).unwrap_or(false);
        known.filter(|_| fits).map(|user| user.principal.clone())
    }
}

impl Token {
    fn digest(&self) -> Option<[u8; 32]> {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads its file, if it has one; answers whether the token is another one. One that cannot be
    /// read stays as it was: a file is gone for a moment while it is replaced. Blocks.
    fn read(&self) -> bool {
        let Some(file) = &self.file else { return false };
        let read = match read_token(file) {
            Ok(token) => digest_of(&token),
            Err(reason) => {
                let name = self.principal.name().unwrap_or_default();
                tracing::warn!(token = name, file = %file.display(), "cannot read a token: {reason}");
                return false;
            }
        };
        self.digest.lock().unwrap_or_else(PoisonError::into_inner).replace(read) != Some(read)
    }
}

fn digest_of(token: &Secret) -> [u8; 32] {
    Sha256::digest(token.expose()).into()
}
