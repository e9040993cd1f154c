//! What somebody may do.

use std::fmt;
use std::str::FromStr;

/// What a request needs, and what somebody may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// To look at everything that is known.
    Read,
    /// To do something to errors, such as resolving them; includes [`Role::Read`].
    Triage,
    /// To push errors to a gateway, and nothing else: a batch job sees nobody's errors.
    Push,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Triage, Self::Push, Self::Admin];

    /// As it is configured.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Push => "push",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or_else(|| format!("unknown role {text:?}; expected read, triage, push or admin"))
    }
}

/// A set of roles. The empty one may do nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// May do nothing.
    pub const NONE: Self = Self(0);

    /// Whether whoever has these may do what needs `need`.
    pub fn allow(self, need: Role) -> bool {
        match need {
            Role::Read => self.has(Role::Read) || self.has(Role::Triage) || self.has(Role::Admin),
            Role::Triage => self.has(Role::Triage) || self.has(Role::Admin),
            Role::Push => self.has(Role::Push) || self.has(Role::Admin),
            Role::Admin => self.has(Role::Admin),
        }
    }

    fn has(self, role: Role) -> bool {
        self.0 & bit(role) != 0
    }
}

fn bit(role: Role) -> u8 {
    1 << role as u8
}

impl From<Role> for Roles {
    fn from(role: Role) -> Self {
        Self(bit(role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |all, role| all | bit(role)))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            Role::ALL.into_iter().filter(|role| self.has(*role)).map(Role::as_str).collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_role_allows_what_it_says_and_no_more() {
        let allowed = |role: Role| {
            Role::ALL.into_iter().filter(|need| Roles::from(role).allow(*need)).collect::<Vec<_>>()
        };
        assert_eq!(allowed(Role::Read), [Role::Read]);
        assert_eq!(allowed(Role::Triage), [Role::Read, Role::Triage]);
        assert_eq!(allowed(Role::Push), [Role::Push], "a batch job reads nothing");
        assert_eq!(allowed(Role::Admin), Role::ALL);
    }

    #[test]
    fn a_role_reads_back_as_it_is_written() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("Admin".parse::<Role>().is_err() && "".parse::<Role>().is_err());
    }

    fn any_role() -> impl Strategy<Value = Role> {
        prop::sample::select(Role::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn nothing_is_allowed_that_no_single_role_allows(
            roles in prop::collection::vec(any_role(), 0..4),
            need in any_role(),
        ) {
            let all: Roles = roles.iter().copied().collect();
            let some = roles.iter().any(|role| Roles::from(*role).allow(need));
            prop_assert_eq!(all.allow(need), some);
            prop_assert!(!Roles::NONE.allow(need));
        }
    }
}
