//! Telling listeners and background tasks to stop.

use tokio::sync::watch;

/// Waits for the order to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// Gives the order to stop. Dropping it gives the order too, so that a forgotten trigger cannot leave tasks behind.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// A connected pair.
#[must_use]
pub fn channel() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownTrigger(sender), Shutdown(receiver))
}

impl ShutdownTrigger {
    /// Gives the order; repeating it does nothing.
    pub fn fire(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether the order was given.
    #[must_use]
    pub fn is_fired(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Resolves when the order is given, at once if it was.
    pub async fn fired(&mut self) {
        // An error means that the trigger is gone, which is an order too.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}
