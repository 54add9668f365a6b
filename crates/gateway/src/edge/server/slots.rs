//! How many connections there are, altogether and per peer.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::edge::{client::counted_block, config::EdgeLimits};

/// Counters of one listener's connections.
#[derive(Debug, Default)]
pub struct ConnStats {
    accepted: AtomicU64,
    open: AtomicU64,
    refused: AtomicU64,
    handshake_failed: AtomicU64,
    cut: AtomicU64,
}

impl ConnStats {
    /// Connections that got a slot.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections closed at once, because there were too many.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// TLS handshakes that failed or took too long.
    pub fn handshake_failed(&self) -> u64 {
        self.handshake_failed.load(Ordering::Relaxed)
    }

    /// Connections dropped at the end of their drain time.
    pub fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    pub(super) fn count_handshake_failure(&self) {
        self.handshake_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }
}

/// The slots of a listener.
#[derive(Debug, Clone)]
pub(super) struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    peers: Mutex<HashMap<IpAddr, usize>>,
    total: u64,
    per_peer: usize,
    stats: Arc<ConnStats>,
}

/// One connection's slot; dropping it frees it.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    block: IpAddr,
}

impl Slots {
    pub(super) fn new(limits: &EdgeLimits, stats: Arc<ConnStats>) -> Self {
        Self(Arc::new(Inner {
            peers: Mutex::default(),
            total: limits.connections as u64,
            per_peer: limits.connections_per_peer,
            stats,
        }))
    }

    pub(super) fn take(&self, peer: IpAddr) -> Option<Slot> {
        let block = counted_block(peer);
        let stats = &self.0.stats;
        let mut peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = peers.get(&block).copied().unwrap_or(0);
        if of_peer >= self.0.per_peer || stats.open() >= self.0.total {
            stats.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        peers.insert(block, of_peer + 1);
        stats.accepted.fetch_add(1, Ordering::Relaxed);
        stats.open.fetch_add(1, Ordering::Relaxed);
        Some(Slot { slots: self.clone(), block })
    }
}

impl Slot {
    pub(super) fn stats(&self) -> &ConnStats {
        &self.slots.0.stats
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let inner = &self.slots.0;
        let mut peers = inner.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(&self.block) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.block);
            }
        }
        inner.stats.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_all_slots_and_gives_them_back() {
        let limits = EdgeLimits { connections: 3, connections_per_peer: 2, ..EdgeLimits::default() };
        let slots = Slots::new(&limits, Arc::default());
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = slots.take(a);
        let second = slots.take(a);
        assert!(first.is_some() && second.is_some() && slots.take(a).is_none());
        let third = slots.take(b);
        assert!(third.is_some() && slots.take(b).is_none(), "the total is 3");
        drop(first);
        assert!(slots.take(b).is_some());
        drop((second, third));
        assert_eq!(slots.0.stats.open(), 0);
        assert!(slots.0.peers.lock().unwrap().is_empty());
    }
}
