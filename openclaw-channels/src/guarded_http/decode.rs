//! Takes a compressed body apart, and stops before it grows beyond measure.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header};

/// A small body may grow as it likes.
const FREE: usize = 64 << 10;

/// How a body comes.
#[derive(Debug)]
pub(super) enum Coding {
    /// As it is, or as the caller asked for.
    Plain,
    Gzip(Box<Gunzip>),
    /// In a coding that nobody asked for.
    Foreign,
}

impl Coding {
    /// Reads it off an answer's head, which then tells of the decoded body.
    pub(super) fn of(headers: &mut HeaderMap, limit: usize, ratio: usize) -> Self {
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        let coding = match (codings.next(), codings.next()) {
            (None, _) => return Self::Plain,
            (Some(coding), None) => coding.as_bytes().trim_ascii(),
            (Some(_), Some(_)) => return Self::Foreign,
        };
        if coding.eq_ignore_ascii_case(b"identity") {
            return Self::Plain;
        }
        if !coding.eq_ignore_ascii_case(b"gzip") && !coding.eq_ignore_ascii_case(b"x-gzip") {
            return Self::Foreign;
        }
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        Self::Gzip(Box::new(Gunzip::new(limit, ratio)))
    }
}

/// Why a body can't be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It is longer than the limit.
    Long,
    /// It grows more than the ratio allows.
    Bomb,
    /// It is no gzip, or not the end of one.
    Garbage,
}

/// A gzip stream on its way in.
#[derive(Debug)]
pub(super) struct Gunzip {
    decoder: MultiGzDecoder<Bounded>,
    fed: usize,
    ratio: usize,
}

impl Gunzip {
    fn new(limit: usize, ratio: usize) -> Self {
        let bounded = Bounded { out: BytesMut::new(), made: 0, limit, grown: 0, over: None };
        Self { decoder: MultiGzDecoder::new(bounded), fed: 0, ratio }
    }

    /// What these bytes make.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Bytes, Bad> {
        self.fed = self.fed.saturating_add(bytes.len());
        self.decoder.get_mut().grown = self.fed.saturating_mul(self.ratio).saturating_add(FREE);
        let written = self.decoder.write_all(bytes).and_then(|()| self.decoder.flush());
        self.made(written)
    }

    /// What was left, at the end of the stream. No stream at all is an empty body.
    pub(super) fn finish(&mut self) -> Result<Bytes, Bad> {
        let written = if self.fed == 0 { Ok(()) } else { self.decoder.try_finish() };
        self.made(written)
    }

    fn made(&mut self, written: io::Result<()>) -> Result<Bytes, Bad> {
        let bounded = self.decoder.get_mut();
        match (bounded.over, written) {
            (Some(over), _) => Err(over),
            (None, Err(_why)) => Err(Bad::Garbage),
            (None, Ok(())) => Ok(bounded.out.split().freeze()),
        }
    }
}

/// Where the decoder writes to, until it is too much.
#[derive(Debug)]
struct Bounded {
    out: BytesMut,
    made: usize,
    limit: usize,
    /// As much as the bytes so far may make.
    grown: usize,
    over: Option<Bad>,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.made = self.made.saturating_add(bytes.len());
        if self.made > self.limit {
            self.over = Some(Bad::Long);
        } else if self.made > self.grown {
            self.over = Some(Bad::Bomb);
        }
        if self.over.is_some() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(pieces: &[&[u8]], limit: usize, ratio: usize) -> Result<Vec<u8>, Bad> {
        let mut gunzip = Gunzip::new(limit, ratio);
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(&gunzip.feed(piece)?);
        }
        all.extend_from_slice(&gunzip.finish()?);
        Ok(all)
    }

    #[test]
    fn however_it_is_cut_it_comes_out_whole() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
        let packed = [gzip(&text), gzip(b"and a second member")].concat();
        let whole = [&text[..], b"and a second member"].concat();
        for size in [1, 7, 1000, packed.len()] {
            let pieces: Vec<&[u8]> = packed.chunks(size).collect();
            assert_eq!(read(&pieces, 1 << 20, 100).as_ref(), Ok(&whole), "in pieces of {size}");
        }
        assert_eq!(read(&[], 10, 10), Ok(Vec::new()), "no stream is an empty body");
        assert_eq!(read(&[&gzip(b"")], 10, 10), Ok(Vec::new()));
    }

    #[test]
    fn a_broken_stream_is_told() {
        let packed = gzip(b"twelve bytes and some more");
        for end in 1..packed.len() {
            assert_eq!(read(&[&packed[..end]], 100, 100), Err(Bad::Garbage), "cut at {end}");
        }
        let mut flipped = packed.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        for garbage in [&b"{\"a\":1}"[..], &flipped, &[&packed[..], b"x"].concat()] {
            assert_eq!(read(&[garbage], 100, 100), Err(Bad::Garbage));
        }
    }

    #[test]
    fn the_limit_and_the_ratio_hold_to_the_byte() {
        let packed = gzip(&vec![b'x'; 1000]);
        assert_eq!(read(&[&packed], 1000, 1).map(|all| all.len()), Ok(1000), "small enough");
        assert_eq!(read(&[&packed], 999, 1), Err(Bad::Long));
        let large = gzip(&vec![0; 10 << 20]);
        assert!(large.len() < 11_000, "a bomb of {} bytes", large.len());
        assert_eq!(read(&[&large], 64 << 20, 100), Err(Bad::Bomb));
        assert_eq!(read(&[&large], 64 << 20, 1100).map(|all| all.len()), Ok(10 << 20));
    }

    #[test]
    fn a_bomb_is_refused_early() {
        let large = gzip(&vec![0; 10 << 20]);
        let mut gunzip = Gunzip::new(64 << 20, 100);
        let mut made = 0;
        for piece in large.chunks(100) {
            match gunzip.feed(piece) {
                Ok(bytes) => made += bytes.len(),
                Err(bad) => {
                    assert_eq!(bad, Bad::Bomb);
                    break;
                }
            }
        }
        assert!(made < 2 * FREE && gunzip.fed < 1000, "{made} bytes of {}", gunzip.fed);
    }
}
