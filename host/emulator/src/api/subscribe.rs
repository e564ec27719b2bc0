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
use crate::form::Form;
use crate::store::{ApiError, Step, Store, Subscription};

pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, FrameError>> + Send + Sync>>;

pub struct EventBody {
    frames: Frames,
}

enum Turn {
    Opening,
    Running,
}

impl EventBody {
    pub fn new(store: Arc<Store>, subscription: Box<Subscription>, form: Form) -> Self {
        let start = (Turn::Opening, store, subscription);
        let frames = stream::unfold(start, move |(turn, store, mut subscription)| async move {
            let next = match turn {
                Turn::Opening => Some(event(form, "initial-response", b"{}".to_vec())),
                Turn::Running => next_frame(&store, &mut subscription, form).await,
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
async fn next_frame(store: &Store, subscription: &mut Subscription, form: Form) -> Option<Result<Bytes, FrameError>> {
    loop {
        // Seen before asking, so that what comes after the question wakes the wait.
        subscription.wake.mark_unchanged();
        match store.step(clock::now(), subscription) {
            Step::Event(found) => {
                return Some(event(form, "SubscribeToShardEvent", encode::event(&found)));
            }
            Step::Fail(error) => return Some(exception(form, &error)),
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

fn event(form: Form, kind: &str, payload: Vec<u8>) -> Result<Bytes, FrameError> {
    let headers = [(":message-type", "event"), (":event-type", kind), (":content-type", form.content_type())];
    frame(&headers, &form.written(payload))
}

fn exception(form: Form, error: &ApiError) -> Result<Bytes, FrameError> {
    let payload = json!({ "message": error.message }).to_string();
    let kind = (":exception-type", error.kind.name());
    let headers = [(":message-type", "exception"), kind, (":content-type", form.content_type())];
    frame(&headers, &form.written(payload.into_bytes()))
}
