//! A socket whose peer must keep reading, and that is closed without losing the last answer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// How long, and for how many bytes, a closed connection is still read from: closing a socket with unread bytes resets the
/// connection, and the peer may lose the answer that told it why (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// The socket below TLS. A write that stalls fails when fewer than `window_bytes` were taken in a `window`.
#[derive(Debug)]
pub(super) struct PacedIo {
    socket: TcpStream,
    window: Duration,
    window_bytes: u64,
    stalled: Option<(Pin<Box<Sleep>>, u64)>,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl PacedIo {
    pub(super) const fn new(socket: TcpStream, window: Duration, window_bytes: u64) -> Self {
        Self { socket, window, window_bytes, stalled: None, linger: None }
    }

    fn paced(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match (&polled, &mut self.stalled) {
            (Poll::Ready(Ok(taken)), Some((_, bytes))) => *bytes += *taken as u64,
            (Poll::Pending, None) => {
                let timer = Box::pin(sleep_until(Instant::now() + self.window));
                self.stalled = Some((timer, 0));
            }
            _ => {}
        }
        let Some((timer, bytes)) = &mut self.stalled else { return polled };
        if timer.as_mut().poll(cx).is_pending() {
            return polled;
        }
        if *bytes < self.window_bytes {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if polled.is_ready() {
            self.stalled = None;
        } else {
            timer.as_mut().reset(Instant::now() + self.window);
            *bytes = 0;
            // Registers the waker with the new deadline; it cannot be due yet.
            let _ = timer.as_mut().poll(cx);
        }
        polled
    }
}

impl AsyncRead for PacedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PacedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.paced(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.paced(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP socket has nothing to flush: what was written is the kernel's. Everything is taken, nothing stalls.
        self.stalled = None;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            this.linger = Some((Box::pin(sleep_until(Instant::now() + LINGER)), 0));
        }
        let Some((timer, drained)) = &mut this.linger else { return Poll::Ready(Ok(())) };
        let mut scratch = [0_u8; 8 * 1024];
        loop {
            if timer.as_mut().poll(cx).is_ready() || *drained > LINGER_BYTES {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.socket).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *drained += buffer.filled().len(),
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
