//! An answer's body: decoded frame by frame, refused before it costs memory.
//!
//! Both what arrives and what it decodes to are limited, so that neither an endless answer nor a
//! kilobyte that unpacks to a gigabyte costs more than the limit. One content encoding is decoded;
//! a chain of them is refused, nobody sends one.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

/// The largest window that a zstd body may ask for: 8 MiB, what RFC 9659 grants to HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;

/// What unpacks at one go, between two looks at the limit.
const STEP: usize = 64 * 1024;

/// Why a body could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// More arrived, or unpacked, than is allowed.
    #[error("body larger than the limit of {limit} bytes{}", if *.decoded { " once decompressed" } else { "" })]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
        /// Whether the decoded size was too large, not the one on the wire.
        decoded: bool,
    },
    /// An encoding that nobody asked for.
    #[error("content encoding `{0}` is not supported")]
    UnknownEncoding(String),
    /// The compressed data is broken or ends too early.
    #[error("broken {encoding} data after {received} bytes: {reason}")]
    Corrupt {
        /// The encoding's name.
        encoding: &'static str,
        /// Where, in bytes on the wire.
        received: usize,
        /// What the decoder says.
        reason: String,
    },
}

/// A body that is being read.
pub(crate) struct Body {
    decoder: Decoder,
    received: usize,
    limit: usize,
}

impl Body {
    /// A body with this `Content-Encoding`, of at most `limit` bytes before and after decoding,
    /// collected in `buffer` (emptied first; its memory is used again).
    ///
    /// # Errors
    ///
    /// [`BodyError::UnknownEncoding`].
    pub(crate) fn new(
        encoding: Option<&str>,
        limit: usize,
        mut buffer: Vec<u8>,
    ) -> Result<Self, BodyError> {
        buffer.clear();
        let out = Capped { buffer, limit, full: false };
        let name = encoding.unwrap_or("").trim().to_ascii_lowercase();
        let decoder = match name.as_str() {
            "" | "identity" => Decoder::Identity(out),
            "gzip" | "x-gzip" => Decoder::Gzip(MultiGzDecoder::new(out)),
            "deflate" => Decoder::Deflate(Some(out)),
            "zstd" => Decoder::Zstd(Box::new(Zstd::new(out)?)),
            "br" => Decoder::Brotli(Box::new(brotli::DecompressorWriter::new(out, STEP))),
            _ => return Err(BodyError::UnknownEncoding(name.chars().take(64).collect())),
        };
        Ok(Self { decoder, received: 0, limit })
    }

    /// Takes the next piece as it came.
    ///
    /// # Errors
    ///
    /// Over a limit, or not what the encoding says.
    pub(crate) fn push(&mut self, frame: &[u8]) -> Result<(), BodyError> {
        if frame.is_empty() {
            return Ok(());
        }
        self.received = self.received.saturating_add(frame.len());
        if self.received > self.limit {
            let decoded = false;
            return Err(BodyError::TooLarge { limit: self.limit, decoded });
        }
        let written = self.decoder.write(frame);
        written.map_err(|e| self.explain(&e))
    }

    /// How many decoded bytes there are.
    pub(crate) fn len(&mut self) -> usize {
        self.decoder.out().map_or(0, |out| out.buffer.len())
    }

    /// Whether a piece may become much more than it is.
    pub(crate) fn is_compressed(&self) -> bool {
        !matches!(self.decoder, Decoder::Identity(_))
    }

    /// The whole decoded body.
    ///
    /// # Errors
    ///
    /// The compressed data has not ended yet.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, BodyError> {
        let ended = if self.received == 0 { Ok(()) } else { self.decoder.end() };
        match ended {
            Ok(()) => Ok(self.decoder.into_buffer()),
            Err(e) => Err(self.explain(&e)),
        }
    }

    fn explain(&mut self, error: &io::Error) -> BodyError {
        if self.decoder.out().is_some_and(|out| out.full) {
            return BodyError::TooLarge { limit: self.limit, decoded: self.decoder.name() != "" };
        }
        BodyError::Corrupt {
            encoding: self.decoder.name(),
            received: self.received,
            reason: error.to_string(),
        }
    }
}

/// The decoders, all fed by writing, so that nothing is buffered twice.
enum Decoder {
    Identity(Capped),
    Gzip(MultiGzDecoder<Capped>),
    /// `deflate` before its first byte, which tells zlib's format from a bare stream: RFC 9110
    /// means the former, and a few servers send the latter.
    Deflate(Option<Capped>),
    Zlib(ZlibDecoder<Capped>),
    BareDeflate(DeflateDecoder<Capped>),
    Zstd(Box<Zstd>),
    Brotli(Box<brotli::DecompressorWriter<Capped>>),
}

impl Decoder {
    fn name(&self) -> &'static str {
        match self {
            Self::Identity(_) => "",
            Self::Gzip(_) => "gzip",
            Self::Deflate(_) | Self::Zlib(_) | Self::BareDeflate(_) => "deflate",
            Self::Zstd(_) => "zstd",
            Self::Brotli(_) => "br",
        }
    }

    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        if let Self::Deflate(out) = self {
            let out = out.take().unwrap_or_default();
            // Zlib's first byte has 8 (deflate) in its low half; no bare stream that a server
            // produces begins so.
            *self = if frame.first().is_some_and(|b| b & 0x0f == 8) {
                Self::Zlib(ZlibDecoder::new(out))
            } else {
                Self::BareDeflate(DeflateDecoder::new(out))
            };
        }
        match self {
            Self::Identity(out) => out.write_all(frame),
            Self::Gzip(d) => d.write_all(frame),
            Self::Deflate(_) => Ok(()),
            Self::Zlib(d) => d.write_all(frame),
            Self::BareDeflate(d) => d.write_all(frame),
            Self::Zstd(d) => d.write(frame),
            Self::Brotli(d) => d.write_all(frame),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Identity(_) | Self::Deflate(_) => Ok(()),
            Self::Gzip(d) => d.try_finish(),
            Self::Zlib(d) => d.try_finish(),
            Self::BareDeflate(d) => d.try_finish(),
            Self::Zstd(d) if d.mid_frame => Err(io::ErrorKind::UnexpectedEof.into()),
            Self::Zstd(_) => Ok(()),
            Self::Brotli(d) => d.close(),
        }
    }

    fn out(&mut self) -> Option<&mut Capped> {
        match self {
            Self::Identity(out) => Some(out),
            Self::Gzip(d) => Some(d.get_mut()),
            Self::Deflate(out) => out.as_mut(),
            Self::Zlib(d) => Some(d.get_mut()),
            Self::BareDeflate(d) => Some(d.get_mut()),
            Self::Zstd(d) => Some(&mut d.out),
            Self::Brotli(d) => Some(d.get_mut()),
        }
    }

    fn into_buffer(mut self) -> Vec<u8> {
        self.out().map(|out| std::mem::take(&mut out.buffer)).unwrap_or_default()
    }
}

/// zstd, one frame after the other.
struct Zstd {
    decoder: ZstdDecoder<'static>,
    mid_frame: bool,
    out: Capped,
}

impl Zstd {
    fn new(out: Capped) -> Result<Self, BodyError> {
        let decoder = ZstdDecoder::new().and_then(|mut decoder| {
            decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
            Ok(decoder)
        });
        let decoder = decoder.map_err(|e| BodyError::Corrupt {
            encoding: "zstd",
            received: 0,
            reason: e.to_string(),
        })?;
        Ok(Self { decoder, mid_frame: false, out })
    }

    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut scratch = vec![0; STEP];
        let mut input = InBuffer::around(frame);
        loop {
            let mut output = OutBuffer::around(scratch.as_mut_slice());
            let remaining = self.decoder.run(&mut input, &mut output)?;
            let written = output.pos();
            self.out.write_all(&scratch[..written])?;
            self.mid_frame = remaining != 0;
            let all_read = input.pos() == frame.len();
            if all_read && (written < STEP || !self.mid_frame) {
                return Ok(());
            }
        }
    }
}

/// A buffer that refuses to grow beyond its limit.
#[derive(Default)]
struct Capped {
    buffer: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > self.limit {
            self.full = true;
            return Err(io::Error::other("over the limit"));
        }
        let needed = self.buffer.len() + bytes.len();
        if needed > self.buffer.capacity() {
            // Twice as much, as a vector does it, but no more than can be wanted: the allocator has
            // both for a moment.
            let room = (2 * self.buffer.capacity()).clamp(needed, self.limit);
            self.buffer.reserve_exact(room - self.buffer.len());
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::fast());
        e.write_all(bytes).unwrap();
        e.finish().unwrap()
    }

    fn encoded(encoding: &str, bytes: &[u8]) -> Vec<u8> {
        match encoding {
            "gzip" => gzip(bytes),
            "deflate" => {
                let mut e = ZlibEncoder::new(Vec::new(), Compression::fast());
                e.write_all(bytes).unwrap();
                e.finish().unwrap()
            }
            "zstd" => zstd::encode_all(bytes, 3).unwrap(),
            "br" => {
                let mut out = Vec::new();
                let mut e = brotli::CompressorWriter::new(&mut out, 4096, 5, 22);
                e.write_all(bytes).unwrap();
                drop(e);
                out
            }
            _ => bytes.to_vec(),
        }
    }

    fn read(encoding: &str, limit: usize, wire: &[u8], piece: usize) -> Result<Vec<u8>, BodyError> {
        let mut body = Body::new(Some(encoding), limit, b"left over".to_vec())?;
        for frame in wire.chunks(piece) {
            body.push(frame)?;
        }
        body.finish()
    }

    const ENCODINGS: [&str; 5] = ["identity", "gzip", "deflate", "zstd", "br"];

    #[test]
    fn every_encoding_reads_back_whatever_the_pieces() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|i| (i % 977).to_le_bytes()).collect();
        for encoding in ENCODINGS {
            let wire = encoded(encoding, &text);
            for piece in [1013, wire.len()] {
                assert_eq!(read(encoding, 1 << 20, &wire, piece).as_ref(), Ok(&text), "{encoding}");
            }
        }
    }

    #[test]
    fn a_bare_deflate_stream_is_understood() {
        let mut e = DeflateEncoder::new(Vec::new(), Compression::fast());
        e.write_all(b"bare").unwrap();
        assert_eq!(read("deflate", 100, &e.finish().unwrap(), 3).unwrap(), b"bare");
    }

    #[test]
    fn several_gzip_members_and_zstd_frames_are_one_body() {
        let wire = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(read("gzip", 100, &wire, 5).unwrap(), b"one two");
        let wire = [encoded("zstd", b"one "), encoded("zstd", b"two")].concat();
        assert_eq!(read("zstd", 100, &wire, 5).unwrap(), b"one two");
    }

    #[test]
    fn what_unpacks_beyond_the_limit_is_refused_without_unpacking_it() {
        let bomb = vec![b' '; 8 << 20];
        for encoding in ENCODINGS.into_iter().skip(1) {
            let wire = encoded(encoding, &bomb);
            let error = read(encoding, 100_000, &wire, 4096).unwrap_err();
            assert_eq!(error, BodyError::TooLarge { limit: 100_000, decoded: true }, "{encoding}");
        }
    }

    #[test]
    fn a_body_that_does_not_end_is_refused_at_the_limit() {
        let mut body = Body::new(None, 10_000, Vec::new()).unwrap();
        let refused = (0..).find_map(|_| body.push(&[b' '; 999]).err());
        assert_eq!(refused, Some(BodyError::TooLarge { limit: 10_000, decoded: false }));
    }

    #[test]
    fn a_body_of_exactly_the_limit_passes() {
        assert_eq!(read("identity", 5, b"12345", 2).unwrap(), b"12345");
        assert!(read("identity", 4, b"12345", 2).is_err());
    }

    #[test]
    fn data_that_ends_early_or_is_no_such_data_is_corrupt() {
        for encoding in ENCODINGS.into_iter().skip(1) {
            let wire = encoded(encoding, &[7; 10_000]);
            for broken in [&wire[..wire.len() - 2], b"<html>not compressed at all</html>"] {
                let error = read(encoding, 1 << 20, broken, 4096).unwrap_err();
                assert!(matches!(error, BodyError::Corrupt { .. }), "{encoding}: {error:?}");
            }
        }
    }

    #[test]
    fn an_encoding_that_nobody_asked_for_is_named() {
        let error = Body::new(Some("gzip, br"), 1, Vec::new()).err().unwrap();
        assert_eq!(error.to_string(), "content encoding `gzip, br` is not supported");
    }

    #[test]
    fn an_empty_body_is_empty_in_every_encoding() {
        for encoding in ENCODINGS {
            assert_eq!(read(encoding, 10, b"", 1).unwrap(), b"");
        }
    }
}
