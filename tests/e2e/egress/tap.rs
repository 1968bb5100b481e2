//! Counts HTTP/2 frames as they pass (RFC 9113, section 4), below and apart from the library that
//! reads them: what arrives is known to the byte even if that library left something out.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a client sends before its first frame (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER: usize = 9;
const PADDED: u8 = 0x8;

/// The kind of frames that carry bodies.
pub const DATA: u8 = 0;
/// The kind that begins a call.
pub const HEADERS: u8 = 1;

/// The kinds that a client of unary calls needs: DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY,
/// WINDOW_UPDATE.
pub const USUAL: [u8; 7] = [DATA, HEADERS, 3, 4, 6, 7, 8];

/// Frames and bytes of payload by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frames {
    /// By the kind's number.
    pub by_kind: BTreeMap<u8, (u64, u64)>,
    /// DATA frames with padding, in which bytes could hide.
    pub padded: u64,
    /// Connections that began with something else than HTTP/2's preface.
    pub foreign: u64,
}

/// Where one connection is.
#[derive(Debug, Default)]
struct Position {
    preface: usize,
    header: Vec<u8>,
    payload_left: usize,
}

impl Position {
    fn pass(&mut self, mut bytes: &[u8], frames: &mut Frames) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.preface < PREFACE.len() {
                if first != PREFACE[self.preface] {
                    frames.foreign += 1;
                }
                self.preface += 1;
                bytes = rest;
            } else if self.payload_left > 0 {
                let skipped = self.payload_left.min(bytes.len());
                self.payload_left -= skipped;
                bytes = &bytes[skipped..];
            } else {
                self.header.push(first);
                bytes = rest;
                if let &[a, b, c, kind, flags, ..] = self.header.as_slice()
                    && self.header.len() == HEADER
                {
                    let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                    let (count, sum) = frames.by_kind.entry(kind).or_default();
                    *count += 1;
                    *sum += length as u64;
                    frames.padded += u64::from(kind == DATA && flags & PADDED != 0);
                    self.payload_left = length;
                    self.header.clear();
                }
            }
        }
    }
}

/// A connection whose incoming bytes are counted.
pub struct Tap<S> {
    inner: S,
    position: Position,
    frames: Arc<Mutex<Frames>>,
}

impl<S> Tap<S> {
    /// Counts what is read from `inner`.
    pub fn new(inner: S, frames: Arc<Mutex<Frames>>) -> Self {
        Self { inner, position: Position::default(), frames }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        let mut frames = this.frames.lock().expect("no reader panicked");
        this.position.pass(&buffer.filled()[before..], &mut frames);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[test]
fn frames_are_counted_however_they_are_torn() {
    let mut bytes = PREFACE.to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    bytes.extend([0, 0, 3, DATA, 1, 0, 0, 0, 1]);
    bytes.extend(b"abc");
    bytes.extend([0, 1, 0, DATA, PADDED, 0, 0, 0, 1]);
    bytes.extend([0; 256]);
    for piece in 1..40 {
        let (mut position, mut frames) = (Position::default(), Frames::default());
        bytes.chunks(piece).for_each(|chunk| position.pass(chunk, &mut frames));
        assert_eq!(frames.by_kind, BTreeMap::from([(DATA, (2, 259)), (4, (1, 0))]));
        assert_eq!((frames.padded, frames.foreign), (1, 0));
    }
    let (mut position, mut frames) = (Position::default(), Frames::default());
    position.pass(b"GET / HTTP/1.1\r\n", &mut frames);
    assert!(frames.foreign > 0);
}
