//! `basic_auth_users`, `basic_auth_roles`, `tokens`, `anonymous`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use periskop_core::config::{At, Fields, Problems, Secret};

use super::Users;
use crate::credential::is_token;
use crate::file;
use crate::role::{Role, Roles};

/// Fewer characters than these can be guessed.
const SHORTEST_TOKEN: usize = 16;

/// The longest name, in bytes: it is kept with everything that somebody does.
const LONGEST_NAME: usize = 200;

/// bcrypt's cost: below, the algorithm is not defined; above, a check takes seconds, and anybody
/// may ask for one.
const COSTS: std::ops::RangeInclusive<u32> = 4..=15;

/// Who is known, and what the others may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// By name.
    pub users: Users,
    /// In the order of the file.
    pub tokens: Vec<Token>,
    /// What may be done without a credential.
    pub anonymous: Anonymous,
}

/// Somebody with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The bcrypt hash of the password.
    pub hash: Secret,
    /// What they may do; everything unless told otherwise, as in Prometheus.
    pub roles: Roles,
}

/// A bearer token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Who has it, as the history of an error shows it.
    pub name: String,
    /// What it is good for.
    pub roles: Roles,
    /// How it is known here.
    pub secret: TokenSecret,
}

/// How a token is known. Its `Debug` tells only the way.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSecret {
    /// `token`: as it is.
    Inline(Secret),
    /// `token_sha256`: its digest, from which it cannot be found.
    Sha256([u8; 32]),
    /// `token_file`: a file that holds it, white space around it apart.
    File(PathBuf),
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Inline(<secret>)"),
            Self::Sha256(_) => f.write_str("Sha256(<secret>)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What may be done without a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// Everything: nobody is known, and nothing is said about it.
    #[default]
    Everything,
    /// Nothing.
    Nothing,
    /// To look.
    Read,
    /// To look, and to do something to errors.
    Triage,
}

impl Anonymous {
    /// The same as roles.
    pub fn roles(self) -> Roles {
        match self {
            Self::Everything => Role::Admin.into(),
            Self::Nothing => Roles::NONE,
            Self::Read => Role::Read.into(),
            Self::Triage => Role::Triage.into(),
        }
    }
}

impl Credentials {
    /// Whether nobody is asked who they are.
    pub fn is_open(&self) -> bool {
        self.anonymous == Anonymous::Everything
    }

    /// Whether there is anything that a client could send.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty()
    }

    pub(super) fn in_words(&self) -> String {
        let known = match (self.users.len(), self.tokens.len()) {
            (0, 0) => String::new(),
            (users, 0) => counted(users, "user"),
            (0, tokens) => counted(tokens, "token"),
            (users, tokens) => format!("{}, {}", counted(users, "user"), counted(tokens, "token")),
        };
        let others = match self.anonymous {
            Anonymous::Everything => return "open: everybody may do everything".to_owned(),
            Anonymous::Nothing => "nobody else may do anything",
            Anonymous::Read => "everybody may read",
            Anonymous::Triage => "everybody may read, resolve and reopen",
        };
        if known.is_empty() {
            format!("{others}, and no more")
        } else {
            format!("{known}; {others}")
        }
    }

    /// Takes their keys out of the section that they stand in.
    pub(super) fn decode(fields: &mut Fields<'_, '_>, dir: &Path) -> Self {
        let mut users = fields.section("basic_auth_users", users).unwrap_or_default();
        let roles =
            fields.section("basic_auth_roles", |at, problems| roles_of_users(at, problems, &users));
        for (name, roles) in roles.unwrap_or_default() {
            if let Some(user) = users.get_mut(&name) {
                user.roles = roles;
            }
        }
        let mut names: BTreeSet<String> = users.keys().cloned().collect();
        let tokens = fields.list("tokens", |at, problems| {
            let token = token(at, problems, dir)?;
            if !token.name.is_empty() && !names.insert(token.name.clone()) {
                at.problem(problems, format!("there are two users or tokens `{}`", token.name));
            }
            Some(token)
        });
        let anonymous = fields.parsed("anonymous", |text| match text {
            "none" => Ok(Anonymous::Nothing),
            "read" => Ok(Anonymous::Read),
            "triage" => Ok(Anonymous::Triage),
            _ => Err(format!("{text:?} is not one of none, read, triage")),
        });
        if anonymous == Some(Anonymous::Nothing) && users.is_empty() && tokens.is_empty() {
            let nobody = "without `basic_auth_users` and `tokens` nobody could do anything";
            fields.problem("anonymous", nobody);
        }
        let unsaid = match users.is_empty() && tokens.is_empty() {
            true => Anonymous::Everything,
            false => Anonymous::Nothing,
        };
        Self { users, tokens, anonymous: anonymous.unwrap_or(unsaid) }
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn users(at: &At<'_>, problems: &mut Problems) -> Option<Users> {
    let mut users = BTreeMap::new();
    for (entry, value) in at.entries(problems)? {
        let name = entry.key.text();
        if name.contains(':') {
            // It ends at the first colon when it is sent.
            value.problem(problems, "a user's name holds no colon");
        } else if let Err(wrong) = check_name(name) {
            value.problem(problems, wrong);
        }
        // Its text is not quoted: whoever put a password here is not to find it in a log.
        let hash = value.string(problems).unwrap_or_default();
        if let Err(wrong) = check_hash(&hash) {
            value.problem(problems, wrong);
        }
        users.insert(name.to_owned(), User { hash: Secret::new(hash), roles: Role::Admin.into() });
    }
    Some(users)
}

fn check_hash(hash: &str) -> Result<(), String> {
    let wanted = "expected a bcrypt hash such as `periskop-server hash-password` makes";
    let is_known = ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix));
    let parts = hash.parse::<bcrypt::HashParts>().ok().filter(|_| is_known && hash.len() == 60);
    let cost = parts.ok_or(wanted)?.get_cost();
    if COSTS.contains(&cost) {
        return Ok(());
    }
    Err(format!(
        "a cost of {cost} is not one from {} to {}, beyond which a check takes seconds",
        COSTS.start(),
        COSTS.end()
    ))
}

fn roles_of_users(
    at: &At<'_>,
    problems: &mut Problems,
    users: &Users,
) -> Option<Vec<(String, Roles)>> {
    let mut all = Vec::new();
    for (entry, value) in at.entries(problems)? {
        let name = entry.key.text();
        if !users.contains_key(name) {
            value.problem(problems, format!("there is no user {name:?} in basic_auth_users"));
        }
        if let Some(roles) = roles(&value, problems) {
            all.push((name.to_owned(), roles));
        }
    }
    Some(all)
}

/// One role, or a list of them.
fn roles(at: &At<'_>, problems: &mut Problems) -> Option<Roles> {
    let one = |at: &At<'_>, problems: &mut Problems| {
        let text = at.string(problems)?;
        text.parse::<Role>().map_err(|wrong| at.problem(problems, wrong)).ok()
    };
    if at.node.text().is_some() {
        return one(at, problems).map(Roles::from);
    }
    let items = at.items(problems)?;
    if items.is_empty() {
        at.problem(problems, "expected read, triage, push or admin");
    }
    Some(items.iter().filter_map(|item| one(item, problems)).collect())
}

fn token(at: &At<'_>, problems: &mut Problems, dir: &Path) -> Option<Token> {
    let mut fields = Fields::new(at, problems)?;
    let name = fields.string("name").unwrap_or_default();
    if let Err(wrong) = check_name(&name) {
        fields.problem("name", wrong);
    }
    let given = ["role", "roles"].map(|key| fields.node(key));
    if given.iter().flatten().count() != 1 {
        fields.problem("role", "a token needs either `role` or `roles`");
    }
    let roles = given.iter().flatten().find_map(|at| roles(at, fields.problems()));
    let roles = roles.unwrap_or_default();

    let inline = fields.secret("token");
    let digest = fields.secret("token_sha256");
    let file = fields.string("token_file").filter(|file| !file.is_empty());
    if let Some(Err(wrong)) = inline.as_ref().map(|token| check_token(token.expose())) {
        fields.problem("token", wrong);
    }
    let digest = digest.map(|digest| {
        sha256_of(digest.expose()).unwrap_or_else(|| {
            fields.problem("token_sha256", "expected the 64 hexadecimal digits of a SHA-256");
            [0; 32]
        })
    });
    let given = [inline.is_some(), digest.is_some(), file.is_some()];
    if given.iter().filter(|is_given| **is_given).count() != 1 {
        let wanted = "a token needs one of `token`, `token_sha256` and `token_file`";
        fields.problem("token", wanted);
    }
    fields.finish();
    let secret = match (inline, digest, file) {
        (Some(token), ..) => TokenSecret::Inline(token),
        (_, Some(digest), _) => TokenSecret::Sha256(digest),
        (.., file) => TokenSecret::File(dir.join(file.unwrap_or_default())),
    };
    Some(Token { name, roles, secret })
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("a user or token needs a name"),
        _ if name.len() > LONGEST_NAME => Err("the name is longer than 200 bytes"),
        _ if name.chars().any(char::is_control) => Err("a name holds no control characters"),
        _ => Ok(()),
    }
}

fn check_token(token: &str) -> Result<(), &'static str> {
    if token.len() < SHORTEST_TOKEN {
        Err(
            "a token of fewer than 16 characters can be guessed; `periskop-server new-token` makes one",
        )
    } else if !is_token(token) {
        Err("a token holds printable ASCII characters and no blanks, or it could not be sent")
    } else {
        Ok(())
    }
}

/// The token in a file. Blocks.
///
/// # Errors
///
/// Why there is none, without what stands there instead.
pub(crate) fn read_token(path: &Path) -> Result<Secret, String> {
    let bytes = file::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "not valid UTF-8")?;
    let token = text.trim();
    check_token(token)?;
    Ok(Secret::new(token))
}

fn sha256_of(hex: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = hex
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}
