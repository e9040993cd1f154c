//! A push's body: collected within a limit, decoded within the same limit.

use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest window that a zstd body may ask for: 8 MiB, what RFC 9659 grants to HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;

/// What a body may have before it needs a place among the large ones.
const FREE: usize = 1 << 20;

/// A body as it arrived.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) bytes: Vec<u8>,
    /// Its share of what all large bodies may have together, one permit a mebibyte.
    pub(crate) held: Option<OwnedSemaphorePermit>,
}

/// All large bodies together have as much as they may.
#[derive(Debug)]
pub(crate) struct NoRoom;

impl Collected {
    /// Takes what has arrived. A body does not wait for room: it would hold what it has meanwhile.
    pub(crate) fn push(&mut self, frame: &[u8], large: &Arc<Semaphore>) -> Result<(), NoRoom> {
        let length = self.bytes.len() + frame.len();
        let needed = length.saturating_sub(FREE).div_ceil(1 << 20);
        let has = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if let Ok(more @ 1..) = u32::try_from(needed.saturating_sub(has)) {
            let permit = large.clone().try_acquire_many_owned(more).map_err(|_| NoRoom)?;
            match &mut self.held {
                Some(held) => held.merge(permit),
                None => self.held = Some(permit),
            }
        }
        self.bytes.extend_from_slice(frame);
        Ok(())
    }
}

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or the bare stream of RFC 1951 that some clients send under that name.
    Deflate,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// What `Content-Encoding` names; `None` for anything else, a chain of encodings included.
    pub(crate) fn parse(header: Option<&str>) -> Option<Self> {
        match header.unwrap_or("").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }
}

/// Why a body could not be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// It unpacks to more than the limit.
    #[error("the body is larger than the limit of {limit} bytes once decompressed")]
    TooLarge { limit: usize },
    /// It is not what its encoding says, or ends too early.
    #[error("broken {encoding} data, after {decoded} decompressed bytes: {source}")]
    Corrupt { encoding: &'static str, decoded: usize, source: io::Error },
}

/// Decodes a body, to at most `limit` bytes: what is beyond is never unpacked.
pub(crate) fn decode(
    encoding: Encoding,
    body: Vec<u8>,
    limit: usize,
) -> Result<Vec<u8>, DecodeError> {
    // An empty body is empty in every encoding.
    if encoding == Encoding::Identity || body.is_empty() {
        return Ok(body);
    }
    let mut decoded = Vec::new();
    let read = match encoding {
        Encoding::Identity => Ok(0),
        Encoding::Gzip => fill(MultiGzDecoder::new(&body[..]), limit, &mut decoded),
        // The first byte of zlib's format has 8 (deflate) in its low half; no bare stream that
        // a client produces begins so.
        Encoding::Deflate if body[0] & 0x0f == 8 => {
            fill(ZlibDecoder::new(&body[..]), limit, &mut decoded)
        }
        Encoding::Deflate => fill(DeflateDecoder::new(&body[..]), limit, &mut decoded),
        Encoding::Zstd => {
            zstd::stream::read::Decoder::with_buffer(&body[..]).and_then(|mut zstd| {
                zstd.window_log_max(ZSTD_WINDOW_LOG)?;
                fill(zstd, limit, &mut decoded)
            })
        }
    };
    match read {
        Ok(_) if decoded.len() > limit => Err(DecodeError::TooLarge { limit }),
        Ok(_) => Ok(decoded),
        Err(source) => {
            let (encoding, decoded) = (encoding.name(), decoded.len());
            Err(DecodeError::Corrupt { encoding, decoded, source })
        }
    }
}

/// Reads one byte more than the limit, which tells that there is more.
fn fill(decoder: impl Read, limit: usize, decoded: &mut Vec<u8>) -> io::Result<usize> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(decoded)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn encodings(text: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text).unwrap();
        zlib.write_all(text).unwrap();
        bare.write_all(text).unwrap();
        vec![
            (Encoding::Gzip, gzip.finish().unwrap()),
            (Encoding::Deflate, zlib.finish().unwrap()),
            (Encoding::Deflate, bare.finish().unwrap()),
            (Encoding::Zstd, zstd::encode_all(text, 3).unwrap()),
        ]
    }

    #[test]
    fn every_encoding_reads_back_up_to_exactly_the_limit() {
        let text = b"some text, some text, some text".repeat(1000);
        for (encoding, body) in encodings(&text) {
            assert_eq!(decode(encoding, body.clone(), text.len()).unwrap(), text);
            let error = decode(encoding, body, text.len() - 1).unwrap_err();
            assert!(matches!(error, DecodeError::TooLarge { limit: 30_999 }), "{error}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        for (encoding, body) in encodings(&vec![b' '; 16 << 20]) {
            let error = decode(encoding, body, 10_000).unwrap_err();
            assert!(matches!(error, DecodeError::TooLarge { limit: 10_000 }), "{error}");
        }
    }

    #[test]
    fn what_is_broken_or_ends_early_is_refused() {
        for (encoding, body) in encodings(&[7; 10_000]) {
            for broken in [&body[..body.len() - 2], &b"<html>not compressed</html>"[..]] {
                let error = decode(encoding, broken.to_vec(), 1 << 20).unwrap_err();
                assert!(matches!(error, DecodeError::Corrupt { .. }), "{encoding:?}: {error}");
            }
            assert_eq!(decode(encoding, Vec::new(), 1).unwrap(), b"");
        }
    }

    #[test]
    fn large_bodies_share_what_there_is_and_small_ones_need_none_of_it() {
        let large = Arc::new(Semaphore::new(2));
        let mebibyte = vec![b' '; 1 << 20];
        let mut first = Collected::default();
        for _ in 0..3 {
            first.push(&mebibyte, &large).unwrap();
        }
        assert!(first.push(b"x", &large).is_err());
        let mut second = Collected::default();
        second.push(&mebibyte, &large).unwrap();
        assert!(second.push(b"x", &large).is_err());
        drop(first);
        second.push(b"x", &large).unwrap();
        assert_eq!((large.available_permits(), second.bytes.len()), (1, (1 << 20) + 1));
    }

    #[test]
    fn only_single_known_encodings_are_understood() {
        assert_eq!(Encoding::parse(None), Some(Encoding::Identity));
        assert_eq!(Encoding::parse(Some(" GZip ")), Some(Encoding::Gzip));
        assert_eq!(Encoding::parse(Some("gzip, gzip")), None);
        assert_eq!(Encoding::parse(Some("br")), None);
    }
}
