//! Micro-batching: callers that arrive while one batch is under way form the next one.
//!
//! Knows nothing of what it carries: its users (the vault's readers and its audit writer) do the work.
//!
//! Nobody waits on purpose: an idle lane takes what there is at once. Under load one round trip, or one commit, serves
//! many. Each item gets its own answer; when the worker is gone, everybody waiting is told so.
//!
//! With several lanes the next one steps in only when a batch takes longer than [`PATIENCE`]: while batches are quick, one
//! lane makes larger batches, and so fewer statements, than two that take turns; a slow one holds nobody up for long.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Does the work of one lane. A lane runs one batch at a time.
pub trait Lane: Send + 'static {
    /// One request.
    type Item: Send + 'static;
    /// Its answer.
    type Answer: Send + 'static;

    /// Answers every item, in order.
    fn run(&mut self, items: Vec<Self::Item>) -> impl Future<Output = Vec<Self::Answer>> + Send;

    /// Called when nothing has arrived for a while; for housekeeping such as a checkpoint heartbeat.
    fn idle(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

type Envelope<I, A> = (I, oneshot::Sender<A>);
type Waiting<I, A> = mpsc::Receiver<Envelope<I, A>>;

/// The queue in front of one or more lanes.
pub struct Batcher<I, A> {
    queue: mpsc::Sender<Envelope<I, A>>,
}

/// The lane has ended; nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// How long a batch may take before the next lane may take what has arrived meanwhile.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(2);

/// How long a lane sleeps before it does its housekeeping.
const HOUSEKEEPING: std::time::Duration = std::time::Duration::from_secs(5);

impl<I: Send + 'static, A: Send + 'static> Batcher<I, A> {
    /// Starts the lanes. Each takes at most `batch` items at a time; `queue` more may wait, then submitting waits.
    pub fn start<L>(lanes: Vec<L>, batch: usize, queue: usize) -> Self
    where
        L: Lane<Item = I, Answer = A>,
    {
        let (sender, receiver) = mpsc::channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        for lane in lanes {
            tokio::spawn(drive(lane, Arc::clone(&receiver), batch));
        }
        Self { queue: sender }
    }

    /// Hands in one item and waits for its answer.
    ///
    /// # Errors
    /// [`Closed`] when the lanes have ended.
    pub async fn submit(&self, item: I) -> Result<A, Closed> {
        let (sender, receiver) = oneshot::channel();
        self.queue.send((item, sender)).await.map_err(|_| Closed)?;
        receiver.await.map_err(|_| Closed)
    }
}

async fn drive<L: Lane>(mut lane: L, receiver: Arc<Mutex<Waiting<L::Item, L::Answer>>>, batch: usize) {
    let mut waiting = Vec::with_capacity(batch);
    loop {
        let mut turn = receiver.lock().await;
        match tokio::time::timeout(HOUSEKEEPING, turn.recv_many(&mut waiting, batch)).await {
            Ok(0) => return,
            Ok(_) => {
                // Whoever has given up gets no work done, so that after a stall the living are served first.
                waiting.retain(|(_, sender)| !sender.is_closed());
                if waiting.is_empty() {
                    continue;
                }
                let (items, senders): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
                // A panic is told to those of its batch, by dropping their senders, and ends no lane.
                let work = AssertUnwindSafe(lane.run(items)).catch_unwind();
                let answers = with_patience(work, turn).await.unwrap_or_default();
                for (sender, answer) in senders.into_iter().zip(answers) {
                    // A caller that went away needs no answer.
                    let _ = sender.send(answer);
                }
            }
            Err(_) => {
                drop(turn);
                lane.idle().await;
            }
        }
    }
}

/// Does the work, and keeps the turn meanwhile, but no longer than [`PATIENCE`].
async fn with_patience<T, G>(work: impl Future<Output = T>, turn: G) -> T {
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(PATIENCE, work.as_mut()).await {
        Ok(done) => done,
        Err(_) => {
            drop(turn);
            work.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    struct Doubler {
        gate: Arc<Semaphore>,
        sizes: mpsc::UnboundedSender<usize>,
    }

    impl Lane for Doubler {
        type Item = u32;
        type Answer = u32;

        async fn run(&mut self, items: Vec<u32>) -> Vec<u32> {
            self.gate.acquire().await.unwrap().forget();
            self.sizes.send(items.len()).unwrap();
            items.into_iter().map(|item| item * 2).collect()
        }
    }

    #[tokio::test]
    async fn those_who_arrive_during_a_batch_share_the_next_one() {
        let gate = Arc::new(Semaphore::new(0));
        let (sizes, mut seen) = mpsc::unbounded_channel();
        let batcher = Arc::new(Batcher::start(vec![Doubler { gate: Arc::clone(&gate), sizes }], 64, 64));
        let ask = |n: u32| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move { batcher.submit(n).await })
        };
        let first = ask(1);
        tokio::task::yield_now().await;
        gate.add_permits(1);
        assert_eq!(first.await.unwrap(), Ok(2));
        assert_eq!(seen.recv().await, Some(1));
        let rest: Vec<_> = (0..10).map(ask).collect();
        gate.add_permits(10);
        for (n, answer) in (0..10).zip(rest) {
            assert_eq!(answer.await.unwrap(), Ok(n * 2));
        }
        let mut batches = Vec::new();
        while let Ok(size) = seen.try_recv() {
            batches.push(size);
        }
        assert_eq!(batches.iter().sum::<usize>(), 10);
        assert!(batches.len() < 10, "nothing was shared: {batches:?}");
    }

    #[tokio::test]
    async fn whoever_has_given_up_gets_no_work_done() {
        let gate = Arc::new(Semaphore::new(0));
        let (sizes, mut seen) = mpsc::unbounded_channel();
        let batcher = Arc::new(Batcher::start(vec![Doubler { gate: Arc::clone(&gate), sizes }], 64, 64));
        let ask = |n: u32| {
            let batcher = Arc::clone(&batcher);
            tokio::spawn(async move { batcher.submit(n).await })
        };
        let first = ask(1);
        tokio::task::yield_now().await;
        let (gone, stays) = (ask(2), ask(3));
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.is_err());
        gate.add_permits(2);
        assert_eq!((first.await.unwrap(), stays.await.unwrap()), (Ok(2), Ok(6)));
        assert_eq!((seen.recv().await, seen.recv().await), (Some(1), Some(1)));
    }

    struct Fragile;

    impl Lane for Fragile {
        type Item = u32;
        type Answer = u32;

        async fn run(&mut self, items: Vec<u32>) -> Vec<u32> {
            assert!(!items.contains(&13), "a fault in the work");
            items
        }
    }

    #[tokio::test]
    async fn a_panic_is_told_to_its_batch_and_the_lane_goes_on() {
        let batcher = Batcher::start(vec![Fragile], 64, 64);
        assert_eq!(batcher.submit(13).await, Err(Closed));
        assert_eq!(batcher.submit(4).await, Ok(4));
    }

    #[tokio::test]
    async fn a_slow_batch_does_not_hold_up_those_behind_it() {
        let (sizes, _seen) = mpsc::unbounded_channel();
        let lane = |permits| Doubler { gate: Arc::new(Semaphore::new(permits)), sizes: sizes.clone() };
        let (stuck, quick) = (lane(0), lane(10));
        let gate = Arc::clone(&stuck.gate);
        let batcher = Arc::new(Batcher::start(vec![stuck, quick], 64, 64));
        let first = tokio::spawn({
            let batcher = Arc::clone(&batcher);
            async move { batcher.submit(1).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(batcher.submit(2).await, Ok(4), "the other lane takes it");
        assert!(!first.is_finished());
        gate.add_permits(1);
        assert_eq!(first.await.unwrap(), Ok(2));
    }
}
