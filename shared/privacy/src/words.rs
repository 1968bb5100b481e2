//! Enums that are written as one of a closed list of words.

/// The text isn't one of the words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got '{got}'")]
pub struct WordError {
    /// The words that would be right.
    pub expected: String,
    /// What came.
    pub got: String,
}

/// An enum that is written as one of a closed list of words, in the site's file, in the ledger and
/// on the wire alike.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word; stable across versions.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::WordError;
            fn from_str(text: &str) -> Result<Self, $crate::words::WordError> {
                Self::ALL.iter().copied().find(|known| known.code() == text).ok_or_else(|| {
                    let expected = [$(concat!("\"", $word, "\""),)+].join(" or ");
                    $crate::words::WordError { expected, got: text.to_owned() }
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::words::WordError;
            fn try_from(text: String) -> Result<Self, $crate::words::WordError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.code().to_owned()
            }
        }
    };
}

pub(crate) use words;
