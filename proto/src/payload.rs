//! Payloads: bytes that travel inside a message when they are small, else as chunks by digest.

use prost::bytes::Bytes;
use wardround_core::digest::Digest;

use crate::v1;

/// Up to this many compressed bytes travel inside the message.
pub const INLINE_LIMIT: usize = 256 * 1024;

/// Largest payload before compression, in bytes.
pub const RAW_LIMIT: u64 = 1 << 30;

/// Why a payload can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Larger than allowed.
    #[error("a payload of {got} bytes is over the limit of {limit}")]
    TooLarge {
        /// The size it states.
        got: u64,
        /// The limit.
        limit: u64,
    },
    /// The digest isn't one, or the bytes have another.
    #[error("a payload's digest doesn't match its bytes")]
    Digest,
    /// The compressed bytes are damaged or don't have the stated size.
    #[error("a payload can't be decompressed: {0}")]
    Compression(String),
}

/// A packed payload: what the message carries, and the bytes to be sent as chunks if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// SHA-256 of `bytes`.
    pub digest: Digest,
    /// The compressed bytes.
    pub bytes: Bytes,
    /// Size before compression.
    pub raw_size: u64,
}

impl Packed {
    /// Compresses bytes (zstd level 1: sums hardly shrink more at higher ones; the same bytes always give the same
    /// payload).
    pub fn new(raw: &[u8]) -> Self {
        let bytes = zstd::bulk::compress(raw, 1)
            .expect("compression into memory fails only when memory does");
        Self { digest: Digest::of(&bytes), raw_size: raw.len() as u64, bytes: bytes.into() }
    }

    /// Whether it travels inside the message.
    pub fn is_inline(&self) -> bool {
        self.bytes.len() <= INLINE_LIMIT
    }

    /// The message.
    pub fn message(&self) -> v1::Payload {
        v1::Payload {
            digest: self.digest.as_bytes().to_vec(),
            size: self.bytes.len() as u64,
            raw_size: self.raw_size,
            inline: if self.is_inline() { self.bytes.to_vec() } else { Vec::new() },
        }
    }
}

/// What a payload message says about itself, checked against the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadHead {
    /// SHA-256 of the compressed bytes.
    pub digest: Digest,
    /// Compressed size.
    pub size: u64,
    /// Size before compression.
    pub raw_size: u64,
}

impl PayloadHead {
    /// Reads and checks the head.
    ///
    /// # Errors
    /// [`PayloadError`]: no digest, or over `limit` before or after compression.
    pub fn read(message: &v1::Payload, limit: u64) -> Result<Self, PayloadError> {
        let digest =
            Digest::try_from(message.digest.as_slice()).map_err(|_| PayloadError::Digest)?;
        let got = message.size.max(message.raw_size);
        if got > limit {
            return Err(PayloadError::TooLarge { got, limit });
        }
        Ok(Self { digest, size: message.size, raw_size: message.raw_size })
    }
}

/// Decompresses a payload's bytes, after checking their digest and size.
///
/// # Errors
/// [`PayloadError`]: another digest, damaged, or not of the stated size.
pub fn unpack(head: &PayloadHead, bytes: &[u8]) -> Result<Vec<u8>, PayloadError> {
    match Digest::of(bytes) == head.digest {
        true => unpack_checked(head, bytes),
        false => Err(PayloadError::Digest),
    }
}

/// The same for bytes whose digest was checked when they were stored.
///
/// # Errors
/// [`PayloadError`]: not of the stated sizes, or damaged.
pub fn unpack_checked(head: &PayloadHead, bytes: &[u8]) -> Result<Vec<u8>, PayloadError> {
    if bytes.len() as u64 != head.size {
        return Err(PayloadError::Digest);
    }
    let capacity = usize::try_from(head.raw_size)
        .map_err(|_| PayloadError::TooLarge { got: head.raw_size, limit: RAW_LIMIT })?;
    let raw = zstd::bulk::decompress(bytes, capacity)
        .map_err(|error| PayloadError::Compression(error.to_string()))?;
    if raw.len() as u64 != head.raw_size {
        let what = format!("{} bytes, {} were stated", raw.len(), head.raw_size);
        return Err(PayloadError::Compression(what));
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_round_trip_and_damage_is_noticed() {
        let raw: Vec<u8> = (0..100_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let packed = Packed::new(&raw);
        let message = packed.message();
        let head = PayloadHead::read(&message, RAW_LIMIT).unwrap();
        assert_eq!(unpack(&head, &packed.bytes).unwrap(), raw);
        let mut damaged = packed.bytes.to_vec();
        damaged[10] ^= 1;
        assert_eq!(unpack(&head, &damaged), Err(PayloadError::Digest));
        assert_eq!(
            PayloadHead::read(&message, 1000),
            Err(PayloadError::TooLarge { got: 400_000, limit: 1000 })
        );
        let lying = PayloadHead { raw_size: 10, ..head };
        assert!(matches!(unpack(&lying, &packed.bytes), Err(PayloadError::Compression(_))));
    }

    #[test]
    fn large_payloads_are_not_inline() {
        let noise: Vec<u8> = (0..40_000u64)
            .flat_map(|i| Digest::of(&i.to_le_bytes()).as_bytes()[..8].to_vec())
            .collect();
        let packed = Packed::new(&noise);
        assert!(!packed.is_inline());
        assert!(packed.message().inline.is_empty());
    }
}
