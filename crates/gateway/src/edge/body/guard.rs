//! The body that a handler reads: counted, paced, decompressed.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::{BodyFault, Pace, Verdict, gzip::Inflate};

/// A body within its limits; after a fault it ends with that error.
#[derive(Debug)]
pub struct Guarded {
    inner: Body,
    limit: u64,
    wire: u64,
    clock: PaceClock,
    inflate: Option<Box<Inflate>>,
    verdict: Verdict,
    ended: bool,
}

impl Guarded {
    /// Guards a body: at most `limit` bytes, before and after decompression.
    #[must_use]
    pub fn new(inner: Body, limit: usize, pace: Pace, gzip: bool, verdict: Verdict) -> Self {
        Self {
            inner,
            limit: limit as u64,
            wire: 0,
            clock: PaceClock::new(pace),
            inflate: gzip.then(|| Box::new(Inflate::new(limit))),
            verdict,
            ended: false,
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyFault>>> {
        loop {
            let polled = Pin::new(&mut self.inner).poll_frame(cx);
            let Poll::Ready(frame) = polled else {
                ready!(self.clock.poll_too_slow(cx));
                return Poll::Ready(Some(Err(BodyFault::TooSlow)));
            };
            let bytes = match frame {
                None => return Poll::Ready(self.finish()),
                Some(Err(_)) => return Poll::Ready(Some(Err(BodyFault::Unreadable))),
                // Trailers mean nothing to us.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => bytes,
                    Err(_) => continue,
                },
            };
            match self.take(&bytes) {
                Ok(out) if out.is_empty() => {}
                other => return Poll::Ready(Some(other)),
            }
        }
    }

    fn take(&mut self, bytes: &Bytes) -> Result<Bytes, BodyFault> {
        self.wire += bytes.len() as u64;
        self.clock.moved(bytes.len() as u64);
        if self.wire > self.limit {
            return Err(BodyFault::TooLarge);
        }
        match &mut self.inflate {
            None => Ok(bytes.clone()),
            Some(inflate) => inflate.push(bytes),
        }
    }

    fn finish(&mut self) -> Option<Result<Bytes, BodyFault>> {
        self.ended = true;
        match self.inflate.take()?.finish() {
            Ok(rest) if rest.is_empty() => None,
            other => Some(other),
        }
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let result = ready!(self.poll_bytes(cx));
        if let Some(Err(fault)) = &result {
            self.verdict.set(*fault);
            self.ended = true;
        }
        Poll::Ready(result.map(|result| result.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.inflate.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.inflate.is_some() { SizeHint::new() } else { self.inner.size_hint() }
    }
}

/// Fires when too little has moved in a window, or the whole takes too long. Costs no timer until the first wait.
#[derive(Debug)]
struct PaceClock {
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    end: Option<Instant>,
    in_window: u64,
}

impl PaceClock {
    const fn new(pace: Pace) -> Self {
        Self { pace, timer: None, end: None, in_window: 0 }
    }

    const fn moved(&mut self, bytes: u64) {
        self.in_window = self.in_window.saturating_add(bytes);
    }

    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let end = *self.end.get_or_insert(now + self.pace.total);
        let window = self.pace.window;
        let timer =
            self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end.min(now + window))));
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if now >= end || self.in_window < self.pace.window_bytes {
                return Poll::Ready(());
            }
            self.in_window = 0;
            timer.as_mut().reset(end.min(now + window));
        }
    }
}
