//! A slow or broken line between one site and the coordinator: bytes pass unread, each piece after a
//! delay, until the line is cut. It makes rounds last long enough for a test to act within a chosen
//! one.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A line; dropping it ends it.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    delay: Duration,
    cut: AtomicBool,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// A line to an address that delays every piece each way.
    ///
    /// # Panics
    /// Loopback can't be listened on.
    pub fn start(upstream: &str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            delay,
            cut: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let (shared, upstream) = (state.clone(), upstream.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                // A connection that breaks is the site's to make again.
                let _ = stream.and_then(|stream| State::carry(&shared, stream, &upstream));
            }
        });
        Self { address, state }
    }

    /// Where the site's end is.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Cuts the line: open connections break, new ones are refused.
    pub fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        self.state.close();
    }

    /// Mends it.
    pub fn mend(&self) {
        self.state.cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.state.close();
        // Wakes the listener, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn carry(this: &Arc<Self>, site: TcpStream, upstream: &str) -> std::io::Result<()> {
        if this.cut.load(Ordering::SeqCst) {
            return site.shutdown(Shutdown::Both);
        }
        let coordinator = TcpStream::connect(upstream)?;
        for end in [&site, &coordinator] {
            end.set_nodelay(true)?;
            this.open.lock().unwrap_or_else(PoisonError::into_inner).push(end.try_clone()?);
        }
        for (from, to) in [(site.try_clone()?, coordinator.try_clone()?), (coordinator, site)] {
            let delay = this.delay;
            std::thread::spawn(move || pass(from, to, delay));
        }
        Ok(())
    }

    fn close(&self) {
        for end in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        std::thread::sleep(delay);
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
    // Either end may be closed already.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_passes_bytes_until_it_is_cut_and_again_when_mended() {
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = echo.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in echo.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
                });
            }
        });
        let link = Link::start(&upstream, Duration::from_millis(1));
        let says_back = || {
            let mut end = TcpStream::connect(link.address())?;
            let mut byte = [7];
            end.write_all(&byte)?;
            end.read_exact(&mut byte)?;
            Ok::<u8, std::io::Error>(byte[0])
        };
        assert_eq!(says_back().unwrap(), 7);
        let mut open = TcpStream::connect(link.address()).unwrap();
        open.write_all(&[1]).unwrap();
        open.read_exact(&mut [0]).unwrap();
        link.cut();
        assert!(open.read_exact(&mut [0]).is_err());
        assert!(says_back().is_err());
        link.mend();
        assert_eq!(says_back().unwrap(), 7);
    }
}
