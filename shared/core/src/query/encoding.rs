//! The one encoding of queries and sums: a format byte, then postcard. A query about another input than
//! the first ends with its number.

use serde::{Deserialize, Serialize};

use super::{FORMAT, FORMAT_OF_INPUTS, Query};
use crate::digest::Digest;

/// The bytes are no query or sum of this software.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by another version.
    #[error("expected format {FORMAT} of a query or sum, got format {0}")]
    Format(u8),
    /// Not decodable.
    #[error("malformed query or sum: {0}")]
    Malformed(String),
    /// Decodable, but not consistent.
    #[error("inconsistent query or sum: {0}")]
    Inconsistent(String),
}

impl Query {
    /// The bytes that are hashed, journalled and sent: a format byte, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = encode(self);
        if self.input > 0 {
            bytes[0] = FORMAT_OF_INPUTS;
            bytes.push(self.input);
        }
        bytes
    }

    /// Reads and checks encoded bytes.
    ///
    /// # Errors
    /// [`DecodeError`]: another format, malformed bytes, or dimensions that don't fit together.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let query: Query = match bytes.split_last() {
            Some((&input, rest)) if bytes[0] == FORMAT_OF_INPUTS => {
                if input == 0 {
                    // Such a query has another encoding.
                    return Err(DecodeError::Malformed("an input of 0".into()));
                }
                let mut plain = rest.to_vec();
                if let Some(format) = plain.first_mut() {
                    *format = FORMAT;
                }
                Query { input, ..decode(&plain)? }
            }
            _ => decode(bytes)?,
        };
        query.check()?;
        Ok(query)
    }

    /// The digest that names this query in journal, ledger and answers.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }
}

/// A format byte, then postcard: deterministic, since no map and no padding occur.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_into(Vec::new(), value)
}

/// The same into an empty buffer that has room.
pub(crate) fn encode_into<T: Serialize>(mut buffer: Vec<u8>, value: &T) -> Vec<u8> {
    buffer.push(FORMAT);
    postcard::to_extend(value, buffer).expect(
        "queries and sums hold only lengths, numbers and lists, which postcard always takes",
    )
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            Ok((_, more)) => Err(DecodeError::Malformed(format!("{} bytes too many", more.len()))),
            Err(error) => Err(DecodeError::Malformed(error.to_string())),
        },
        Some((&other, _)) => Err(DecodeError::Format(other)),
        None => Err(DecodeError::Malformed("no bytes".into())),
    }
}
