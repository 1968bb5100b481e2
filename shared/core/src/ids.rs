//! Ids of the cast: sites, users, studies. One rule for all of them, so that an id is safe in a
//! file name, a certificate and a log line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest id, in bytes.
pub const MAX_ID_LENGTH: usize = 63;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text has no characters or too many.
    #[error("an id has 1 to {MAX_ID_LENGTH} characters, this one has {0}")]
    Length(usize),
    /// A character other than the allowed ones.
    #[error(
        "an id holds a-z, 0-9, '-' and '_' and starts with a letter or digit; '{id}' has '{bad}'"
    )]
    Character {
        /// The text as it came.
        id: String,
        /// The first character that isn't allowed.
        bad: char,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses an id: 1 to 63 of a-z, 0-9, '-', '_', starting with a letter or digit.
            ///
            /// # Errors
            /// [`IdError`] names the first offending character or the length.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id! {
    /// A hospital that takes part, as its client certificate names it.
    SiteId
}
id! {
    /// A person who uses the coordinator, as the client certificate names them.
    UserId
}
id! {
    /// One submitted study.
    StudyId
}

/// What a person may do at the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Launches studies and reads their results.
    Lead,
    /// Invites and revokes sites and users.
    Operator,
    /// Reads reports, history and exports; changes nothing.
    Auditor,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Lead => "lead",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
        })
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lead" => Ok(Role::Lead),
            "operator" => Ok(Role::Operator),
            "auditor" => Ok(Role::Auditor),
            other => Err(format!("a role is lead, operator or auditor, not '{other}'")),
        }
    }
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > MAX_ID_LENGTH {
        return Err(IdError::Length(text.chars().count()));
    }
    let bad = text.chars().enumerate().find(|&(at, c)| {
        let plain = c.is_ascii_lowercase() || c.is_ascii_digit();
        !(plain || at > 0 && (c == '-' || c == '_'))
    });
    match bad {
        Some((_, bad)) => Err(IdError::Character { id: text.to_owned(), bad }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_in_file_names_and_certificates() {
        for good in ["a", "vidir_modern", "site-3", "0x", &"a".repeat(63)] {
            assert_eq!(SiteId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "A", "a b", "a/b", "..", "ä", &"a".repeat(64)] {
            assert!(SiteId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn serde_goes_through_the_constructor() {
        assert!(serde_json::from_str::<SiteId>("\"../etc\"").is_err());
        assert_eq!(serde_json::to_string(&SiteId::parse("a").unwrap()).unwrap(), "\"a\"");
    }

    #[test]
    fn roles_round_trip() {
        for role in [Role::Lead, Role::Operator, Role::Auditor] {
            assert_eq!(role.to_string().parse::<Role>().unwrap(), role);
        }
        assert!("root".parse::<Role>().is_err());
    }
}
