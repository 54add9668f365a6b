//! Decompression that stops: at the limit, and at a ratio that no honest text reaches.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::write::GzDecoder;

use super::BodyFault;

/// How often larger than its compressed form a body may be. FHIR bundles reach about 30; a bomb has 1,000.
pub const MAX_RATIO: u64 = 100;

/// Below this many bytes the ratio is not looked at: a short body of spaces is harmless.
const RATIO_FLOOR: u64 = 64 * 1024;

/// An incremental, bounded decoder of one gzip member.
#[derive(Debug)]
pub struct Inflate {
    decoder: GzDecoder<Capped>,
    wire: u64,
}

#[derive(Debug)]
struct Capped {
    out: BytesMut,
    total: u64,
    limit: u64,
    ratio_limit: u64,
    fault: Option<BodyFault>,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let total = self.total.saturating_add(bytes.len() as u64);
        let fault = if total > self.limit {
            Some(BodyFault::TooLarge)
        } else if total > self.ratio_limit.max(RATIO_FLOOR) {
            Some(BodyFault::Bomb)
        } else {
            None
        };
        if fault.is_some() {
            self.fault = fault;
            return Err(io::Error::other("cut"));
        }
        self.total = total;
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Inflate {
    /// A decoder that gives at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit as u64;
        let out = Capped { out: BytesMut::new(), total: 0, limit, ratio_limit: 0, fault: None };
        Self { decoder: GzDecoder::new(out), wire: 0 }
    }

    /// Decodes one chunk of the wire; the result may be empty.
    ///
    /// # Errors
    /// [`BodyFault::TooLarge`] or [`BodyFault::Bomb`] past a limit, [`BodyFault::Unreadable`] if it is no gzip or
    /// something follows the first member.
    pub fn push(&mut self, mut chunk: &[u8]) -> Result<Bytes, BodyFault> {
        self.wire += chunk.len() as u64;
        self.decoder.get_mut().ratio_limit = self.wire.saturating_mul(MAX_RATIO);
        while !chunk.is_empty() {
            match self.decoder.write(chunk) {
                Ok(0) => return Err(BodyFault::Unreadable),
                Ok(taken) => chunk = &chunk[taken..],
                Err(_) => return Err(self.fault()),
            }
        }
        Ok(self.decoder.get_mut().out.split().freeze())
    }

    /// Checks that the member is whole (length and CRC, RFC 1952) and gives the rest.
    ///
    /// # Errors
    /// As [`Inflate::push`].
    pub fn finish(&mut self) -> Result<Bytes, BodyFault> {
        if self.decoder.try_finish().is_err() {
            return Err(self.fault());
        }
        Ok(self.decoder.get_mut().out.split().freeze())
    }

    fn fault(&self) -> BodyFault {
        self.decoder.get_ref().fault.unwrap_or(BodyFault::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// A gigabyte of one byte: one megabyte, compressed up to a full flush, a thousand times behind one gzip header. The end is
    /// missing, but nobody gets that far.
    fn bomb() -> Vec<u8> {
        let mut raw = flate2::Compress::new(Compression::best(), false);
        let mut block = Vec::with_capacity(8 * 1024);
        raw.compress_vec(&vec![b' '; 1 << 20], &mut block, flate2::FlushCompress::Full).unwrap();
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        [&header[..], &block.repeat(1024)].concat()
    }

    fn inflate(wire: &[u8], limit: usize, chunk: usize) -> Result<Vec<u8>, BodyFault> {
        let mut decoder = Inflate::new(limit);
        let mut out = Vec::new();
        for part in wire.chunks(chunk) {
            out.extend_from_slice(&decoder.push(part)?);
        }
        out.extend_from_slice(&decoder.finish()?);
        Ok(out)
    }

    #[test]
    fn an_honest_body_comes_back_in_any_chunking() {
        let plain: Vec<u8> = (0..60_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        for chunk in [1, 7, 4096, usize::MAX] {
            assert_eq!(inflate(&gzip(&plain), plain.len(), chunk).unwrap(), plain);
        }
        assert_eq!(inflate(&gzip(&plain), plain.len() - 1, 4096), Err(BodyFault::TooLarge));
    }

    #[test]
    fn bar_f9_a_bomb_of_a_gigabyte_is_cut_within_200_ms() {
        let bomb = bomb();
        assert!((1_000_000..3_000_000).contains(&bomb.len()), "{}", bomb.len());
        let started = Instant::now();
        assert_eq!(inflate(&bomb, 1 << 20, 16 * 1024), Err(BodyFault::TooLarge));
        assert_eq!(inflate(&bomb, 1 << 40, 1024), Err(BodyFault::Bomb));
        assert!(started.elapsed().as_millis() <= 200, "{:?}", started.elapsed());
    }

    #[test]
    fn broken_truncated_and_trailing_bytes_are_refused() {
        let good = gzip(b"{\"a\":1}");
        assert!(inflate(&good, 100, 3).is_ok());
        assert_eq!(inflate(&good[..good.len() - 1], 100, 3), Err(BodyFault::Unreadable));
        assert_eq!(inflate(b"{\"a\":1}", 100, 3), Err(BodyFault::Unreadable));
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(inflate(&flipped, 100, 3), Err(BodyFault::Unreadable));
        assert_eq!(inflate(&[good.clone(), b"x".to_vec()].concat(), 100, 100), Err(BodyFault::Unreadable));
        assert_eq!(inflate(&[good.clone(), good].concat(), 100, 100), Err(BodyFault::Unreadable));
    }
}
