//! Which certificates are admitted: their serial numbers, kept in memory and read again from the
//! store after every join, renewal and revocation.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use tokio::sync::watch;
use wardround_net::pki::{Peer, Serial};
use wardround_net::server::{PeerGate, Refusal};

use crate::store::{Store, StoreError};

/// The list of certificates. Every request asks it.
#[derive(Debug)]
pub struct Gate {
    /// Whether a serial number was revoked; one that isn't in here was never issued.
    revoked: RwLock<HashMap<Serial, bool>>,
    changed: watch::Sender<()>,
}

impl Gate {
    /// Reads the list.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(store: &Store) -> Result<Self, StoreError> {
        let gate = Self { revoked: RwLock::default(), changed: watch::Sender::new(()) };
        gate.refresh(store)?;
        Ok(gate)
    }

    /// Reads the list again; whoever waits in [`Gate::refused`] looks at it.
    ///
    /// # Errors
    /// [`StoreError`]; the list stays as it was.
    pub fn refresh(&self, store: &Store) -> Result<(), StoreError> {
        let read = |(serial, revoked): (String, bool)| match serial.parse() {
            Ok(serial) => Ok((serial, revoked)),
            Err(error) => Err(StoreError::Damaged(format!("serial number '{serial}': {error}"))),
        };
        let list = store.admitted_serials()?.into_iter().map(read).collect::<Result<_, _>>()?;
        *self.revoked.write().unwrap_or_else(PoisonError::into_inner) = list;
        self.changed.send_replace(());
        Ok(())
    }

    /// Waits until a peer that was admitted no longer is. Long calls wait for it beside their work,
    /// so that a revocation ends them at once.
    pub async fn refused(&self, peer: &Peer) -> Refusal {
        let mut changed = self.changed.subscribe();
        loop {
            if let Err(refusal) = self.admit(peer) {
                return refusal;
            }
            if changed.changed().await.is_err() {
                // The sender lives in this gate.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl PeerGate for Gate {
    fn admit(&self, peer: &Peer) -> Result<(), Refusal> {
        let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
        match revoked.get(&peer.serial) {
            Some(false) => Ok(()),
            Some(true) => Err(Refusal::Revoked),
            None => Err(Refusal::Unknown),
        }
    }
}
