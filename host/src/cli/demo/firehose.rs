//! Making delivery streams, for commands that bring an emulator of their own.

use aws_sdk_firehose::Client;

use crate::error::{Error, Kind, Result};

/// A delivery stream of this name.
pub(super) async fn create(client: &Client, name: &str) -> Result<()> {
    let made = client.create_delivery_stream().delivery_stream_name(name).send().await;
    made.map(drop).map_err(|e| {
        let words = format!("delivery stream `{name}` cannot be made: {}", crate::aws::said(&e));
        Error::new(Kind::Unavailable, words)
    })
}
