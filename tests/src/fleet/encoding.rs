//! How answers are compressed.

use std::io::Write as _;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A content encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// Each part is a member of its own, so that what has not changed is not compressed again,
    /// whatever the order in which it is told.
    Gzip,
}

impl Encoding {
    /// A part of an answer, as it is sent.
    pub(super) fn encode(self, part: Bytes) -> Bytes {
        static COMMA: OnceLock<Bytes> = OnceLock::new();
        match self {
            Self::Identity => part,
            Self::Gzip if part.as_ref() == b"," => COMMA.get_or_init(|| gzip(&part)).clone(),
            Self::Gzip => gzip(&part),
        }
    }
}

/// Compressed as quickly as can be.
pub(super) fn gzip(part: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(part).expect("memory can be written to");
    encoder.finish().expect("memory can be written to").into()
}
