//! The body of SubscribeToShard: one frame after another as the subscription gives events.
//!
//! The rules: the first frame is `initial-response` (boto3 wants it); a frame is made only when the connection asks for it,
//! so a reader that does not read holds one frame here and nothing else; a new record wakes the body at once. When the
//! reader goes, the body is dropped and with it everything that waits. What the events are is `store/subscription.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::stream;
use hyper::body::{Body, Frame};
use serde_json::json;

use super::encode;
use crate::clock;
use crate::event_stream::{FrameError, encode as frame};
use crate::store::{ApiError, Step, Store, Subscription};

pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
const JSON: (&str, &str) = (":content-type", "application/x-amz-json-1.1");

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, FrameError>> + Send + Sync>>;

pub struct EventBody {
    frames: Frames,
}

enum Turn {
    Opening,
    Running,
}

impl EventBody {
    pub fn new(store: Arc<Store>, subscription: Box<Subscription>) -> Self {
        let start = (Turn::Opening, store, subscription);
        let frames = stream::unfold(start, |(turn, store, mut subscription)| async move {
            let next = match turn {
                Turn::Opening => Some(event("initial-response", b"{}")),
                Turn::Running => next_frame(&store, &mut subscription).await,
            };
            let sent = next?.map(Frame::data);
            Some((sent, (Turn::Running, store, subscription)))
        });
        Self { frames: Box::pin(frames) }
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = FrameError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FrameError>>> {
        self.frames.as_mut().poll_next(context)
    }
}

/// Waits until there is something to send; None when the subscription is over.
async fn next_frame(store: &Store, subscription: &mut Subscription) -> Option<Result<Bytes, FrameError>> {
    loop {
        // Seen before asking, so that what comes after the question wakes the wait.
        subscription.wake.mark_unchanged();
        match store.step(clock::now(), subscription) {
            Step::Event(found) => {
                return Some(event("SubscribeToShardEvent", &encode::event(&found)));
            }
            Step::Fail(error) => return Some(exception(&error)),
            Step::End => return None,
            Step::Drop => return Some(Err(FrameError::Dropped)),
            Step::Wait { until } => {
                let span = Duration::from_millis(until.saturating_sub(clock::now()).max(1));
                // An error means that the stream is gone, which the next question finds out.
                let _ = tokio::time::timeout(span, subscription.wake.changed()).await;
            }
        }
    }
}

fn event(kind: &str, payload: &[u8]) -> Result<Bytes, FrameError> {
    frame(&[(":message-type", "event"), (":event-type", kind), JSON], payload)
}

fn exception(error: &ApiError) -> Result<Bytes, FrameError> {
    let payload = json!({ "message": error.message }).to_string();
    let headers = [(":message-type", "exception"), (":exception-type", error.kind.name()), JSON];
    frame(&headers, payload.as_bytes())
}
