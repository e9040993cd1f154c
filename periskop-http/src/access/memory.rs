//! Credentials that were right: who has shown one is not asked to wait, and costs no bcrypt.
//!
//! What is kept is a digest with a key of this process, over the client too: a credential that one
//! client has shown does not let others past the delay.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest as _, Sha256};

use super::Principal;
use crate::credential::Credential;
use crate::throttle::Client;

/// Pairs of client and credential that are remembered; the oldest goes first.
const REMEMBERED: usize = 4096;

/// A client with a credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(key: &[u8; 32], client: Client, credential: &Credential) -> Self {
        let mut hash = Sha256::new_with_prefix(key);
        hash.update(client.bytes());
        match credential {
            Credential::Bearer(token) => {
                hash.update([1]);
                hash.update(token.expose());
            }
            Credential::Basic { user, password } => {
                hash.update([0]);
                hash.update((user.expose().len() as u64).to_le_bytes());
                hash.update(user.expose());
                hash.update(password.expose());
            }
        }
        Self(hash.finalize().into())
    }
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Memory {
    known: HashMap<Digest, Principal>,
    order: VecDeque<Digest>,
    epoch: u64,
}

impl Memory {
    pub(super) fn recall(&self, digest: &Digest) -> Option<Principal> {
        self.known.get(digest).cloned()
    }

    /// Changes whenever everything is forgotten.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What was found out before everything was forgotten may be true no longer.
    pub(super) fn remember(&mut self, epoch: u64, digest: Digest, principal: Principal) {
        if epoch != self.epoch || self.known.insert(digest, principal).is_some() {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.order.clear();
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use periskop_core::config::Secret;

    use super::*;
    use crate::role::Role;

    fn digest(address: [u8; 4], token: &str) -> Digest {
        let credential = Credential::Bearer(Secret::new(token));
        Digest::of(&[1; 32], Client::of(address.into()), &credential)
    }

    #[test]
    fn a_credential_is_recalled_for_the_client_that_has_shown_it() {
        let mut memory = Memory::default();
        let principal = Principal::new("a", Role::Read.into());
        memory.remember(0, digest([1; 4], "t"), principal.clone());
        assert_eq!(memory.recall(&digest([1; 4], "t")), Some(principal));
        assert_eq!(memory.recall(&digest([2; 4], "t")), None);
        assert_eq!(memory.recall(&digest([1; 4], "u")), None);
    }

    #[test]
    fn what_is_forgotten_is_not_remembered_by_who_was_still_checking() {
        let mut memory = Memory::default();
        let epoch = memory.epoch();
        memory.forget();
        memory.remember(epoch, digest([1; 4], "t"), Principal::new("a", Role::Read.into()));
        assert_eq!(memory.recall(&digest([1; 4], "t")), None);
    }

    #[test]
    fn a_password_is_no_part_of_the_name_before_it() {
        let of = |user: &str, password: &str| {
            let (user, password) = (Secret::new(user), Secret::new(password));
            let credential = Credential::Basic { user, password };
            Digest::of(&[1; 32], Client::of([1; 4].into()), &credential)
        };
        assert!(of("ab", "c") != of("a", "bc"));
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let mut memory = Memory::default();
        for n in 0..=REMEMBERED {
            let token = n.to_string();
            memory.remember(0, digest([1; 4], &token), Principal::new("a", Role::Read.into()));
        }
        assert_eq!((memory.known.len(), memory.order.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(memory.recall(&digest([1; 4], "0")), None);
    }
}
